"""A small server that answers as it is told, on this machine, and transcripts to ask it about."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET = "sk-a-key-that-nobody-must-see"


def says(answer: str, usage: bool = True) -> tuple[int, dict, dict]:
    """A whole reply: status, headers, body."""
    body = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
    }
    counts = {"usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}} if usage else {}
    return 200, {}, body | counts


def fails(status: int, message: str = "", headers: dict | None = None, **error) -> tuple[int, dict, dict]:
    return status, headers or {}, {"error": {"message": message, **error}}


class Server:
    """Speaks enough of OpenAI's protocol. ``reply`` is given the text asked about and the request's number, from 1.

    What it returns is sent: a reply as above, the word ``drop`` for a connection that is closed, or raw bytes.
    """

    def __init__(self, reply: Callable[[str, int], object], seconds: float = 0.0) -> None:
        self.requests: list[dict] = []
        self.headers: list[dict] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with outer._lock:
                    outer.requests.append(body)
                    outer.headers.append({name.lower(): value for name, value in self.headers.items()})
                    number = len(outer.requests)
                    outer.at_once += 1
                    outer.most_at_once = max(outer.most_at_once, outer.at_once)
                try:
                    time.sleep(seconds)
                    self._send(reply(body["messages"][0]["content"], number))
                except OSError:
                    pass  # nobody waits for it any more
                finally:
                    with outer._lock:
                        outer.at_once -= 1

            def _send(self, made) -> None:
                if made == "drop":
                    self.close_connection = True
                    self.connection.close()
                    return
                status, headers, content = (200, {}, made) if isinstance(made, bytes) else made
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def by_words(text: str, number: int):
    """Whoever says fine is positive, who says awful negative."""
    return says("Positive." if "fine" in text else "label: NEGATIVE" if "awful" in text else "neutral")


def write_transcripts(path: Path, texts: list[str]) -> Path:
    path.write_text("id,text\n" + "".join(f'{number},"{text}"\n' for number, text in enumerate(texts)))
    return path
