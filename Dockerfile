# The commands of MuSiCa, with the experiments' configurations. experiments/README.md shows its use.
#     docker build --tag musica .
#     docker build --tag musica:gpu --build-arg TENSORFLOW='tensorflow[and-cuda]' .
#     docker build --tag musica:test --build-arg EXTRAS=detect,video,test .

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
ARG EXTRAS=detect,video
RUN pip install --no-cache-dir --constraint requirements.txt ".[$EXTRAS]"

FROM python:3.11-slim-bookworm
COPY --from=build /opt/musica /opt/musica
# A user given by number has no home: what libraries cache goes to /tmp.
ENV PATH=/opt/musica/bin:$PATH HOME=/tmp
WORKDIR /musica
COPY data data
COPY experiments experiments
# Data sets and results lie outside, where a mounted folder hides no script. The configurations
# find them through links. Without a mount, any user may write there.
RUN mkdir /data /output && chmod 1777 /data /output && ln -s /output output \
    && chmod -R a+rX data experiments
RUN for set in wflw 300w cofw68 example; do ln -s "/data/$set" "data/$set"; done
RUN useradd --no-create-home --uid 1000 musica
USER musica
CMD ["musica-inference"]
