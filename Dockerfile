# The commands of MuSiCa, with the experiments' configurations. experiments/README.md shows its use.
#     docker build --tag musica .
#     docker build --tag musica:gpu --build-arg TENSORFLOW='tensorflow[and-cuda]' .

FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY requirements.txt ./
RUN python3 -m venv /opt/musica
ENV PATH=/opt/musica/bin:$PATH
# menpo comes as source only: its wheel and ours are built in this stage. What takes minutes comes
# first, so that a change of the code does not repeat it.
ARG TENSORFLOW=tensorflow
RUN pip install --no-cache-dir --constraint requirements.txt menpo "$TENSORFLOW"
COPY setup.py pyproject.toml README.md LICENSE ./
COPY musica musica
RUN pip install --no-cache-dir --constraint requirements.txt '.[detect,video]'

FROM python:3.11-slim-bookworm
COPY --from=build /opt/musica /opt/musica
# A user given by number has no home: what libraries cache goes to /tmp.
ENV PATH=/opt/musica/bin:$PATH HOME=/tmp
WORKDIR /musica
COPY data data
COPY experiments experiments
# Meant to be mounted; without a mount, any user may write there.
RUN mkdir --parents output && chmod 1777 data output
RUN useradd --no-create-home --uid 1000 musica
USER musica
CMD ["musica-inference"]
