# The command line for core facilities, without napari and Qt:
#     docker build -t napari-dps .
#     docker run --rm -v "$PWD:/data" napari-dps run /data/cell.tif --out /data/results ...
FROM python:3.11-slim

ARG EXTRAS=dv,zarr,formats,distributed
# https://download.pytorch.org/whl/cu128 for NVIDIA cards (docker run --gpus all).
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /opt/napari-dps
COPY . .
RUN pip install --no-cache-dir --index-url "$TORCH_INDEX" torch==2.13.0 \
    && pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]" \
    && napari-dps doctor --no-speed-test

RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /data
ENTRYPOINT ["napari-dps"]
CMD ["--help"]
