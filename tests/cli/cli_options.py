"""Options that the simulated stack of these tests needs."""

OPTICS = ["--na", "1.4", "--emission-nm", "525", "--pixel-size-nm", "65"]
RAW_OPTIONS = ["--angles", "3", "--phases", "3", "--camera-offset", "100", *OPTICS]
