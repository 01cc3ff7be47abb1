"""One aligner in other people's programs: a threaded web server, and spawned processes."""

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import tiny
from tiny_faces import blobs, landmarks

from musica import Face, FaceAligner
from musica.formats.export import ExportConfig, export
from musica.geometry.crops import bounding_box

THREADS, REQUESTS, FACES = 8, 2000, 7


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A tiny model, exported, whose landmarks depend on the pixels."""
    folder = tmp_path_factory.mktemp("model")
    model = tiny.musica_model(
        patch_indices=(0, 3),
        levels=(1, 0),
        patch_size=10,
        box_size=40,
        reference_shape=landmarks(0, 5) - landmarks(0, 5).min(axis=0),
    )
    model.save(folder / "model.keras")
    export(ExportConfig(str(folder / "model.keras"), str(folder / "model.tflite"), "float32"))
    return folder / "model.tflite"


@pytest.fixture(scope="module")
def pictures():
    """Different pictures and the boxes of their faces."""
    points = [landmarks(seed, 5) for seed in range(FACES)]
    return [(blobs((76, 92), own), bounding_box(own)) for own in points]


def answer(aligner: FaceAligner, picture: tuple) -> list:
    """What the server answers, in the numbers' full precision."""
    face: Face = aligner.align(*picture)
    return [face.landmarks.tolist(), face.error_estimate, face.iterations]


def test_a_server_of_8_threads_answers_as_one_thread_does(path, pictures):
    aligner = FaceAligner.load(path)
    expected = [answer(FaceAligner.load(path), picture) for picture in pictures]
    assert len({str(one) for one in expected}) == FACES

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # a connection takes many requests
        disable_nagle_algorithm = True

        def do_GET(self):
            body = json.dumps(answer(aligner, pictures[int(self.path[1:])])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    def ask(first):
        connection = HTTPConnection(*server.server_address, timeout=60)
        wrong = 0
        for number in range(first, REQUESTS, THREADS):
            connection.request("GET", f"/{number % FACES}")
            wrong += json.loads(connection.getresponse().read()) != expected[number % FACES]
        connection.close()
        return wrong

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with ThreadPoolExecutor(THREADS) as clients:
            assert sum(clients.map(ask, range(THREADS))) == 0
        server.shutdown()


def test_spawned_processes_answer_as_this_one_does(path, pictures):
    aligner = FaceAligner.load(path)
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        found = pool.starmap(aligner.align, pictures)
    for face, picture in zip(found, pictures, strict=True):
        assert face.landmarks.tolist() == aligner.align(*picture).landmarks.tolist()
