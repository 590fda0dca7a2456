"""Physics: PSF and OTF, SIM, rolling ball, camera noise, phantoms and simulation."""
