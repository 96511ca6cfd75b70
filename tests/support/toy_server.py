"""A server of the OpenAI protocol over a toy model, which can do as little or behave as badly as told.

The toy model has the small byte-level tokenizer of these tests, and next-token probabilities that
are drawn from all tokens of the context: anyone can compute them again, and every token matters.
"""

import contextlib
import functools
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from scipy.special import log_softmax

from debias.inference.labels import split_labels, split_pairs
from tests.support.tiny_models import byte_tokenizer

NAME = "toy"
BOMB = gzip.compress(bytes(64 << 20), 9)
"""64 MiB in 64 KiB."""
KEY = "sk-very-secret-0123456789"


def encode(texts: list[str]) -> list[list[int]]:
    return [list(one) for one in byte_tokenizer()(list(texts), add_special_tokens=False)["input_ids"]]


def read(token: int) -> str:
    return str(byte_tokenizer().decode([token]))


def vector(text: str) -> list[float]:
    """Vector of a text, drawn from all its tokens."""
    return np.random.default_rng([11, *encode([text])[0]]).normal(size=8).tolist()


@functools.lru_cache(maxsize=100_000)
def _next(context: tuple[int, ...]) -> np.ndarray:
    logits = np.random.default_rng([7, *context]).normal(size=len(byte_tokenizer())) * 3
    return log_softmax(logits)


def next_logprobs(context: list[int]) -> np.ndarray:
    """Log-probabilities of all tokens after a context."""
    return _next(tuple(context))


def chat_text(prompt: str) -> str:
    return f"User: {prompt}\nAssistant:\n"


def written(context: list[int], length: int, temperature: float, seed: int | None, top_p: float = 1.0) -> str:
    """What the toy model writes: tokens drawn one after the other."""
    random = np.random.default_rng(seed)
    drawn: list[int] = []
    for _ in range(length):
        table = next_logprobs([*context, *drawn])
        if temperature == 0:
            drawn.append(int(table.argmax()))
        else:
            shares = np.exp(table / temperature)
            if top_p < 1:  # the most probable tokens alone
                before = np.cumsum(np.sort(shares)[::-1]) - np.sort(shares)[::-1]
                shares[np.argsort(-shares)[before >= top_p * shares.sum()]] = 0
            drawn.append(int(random.choice(len(shares), p=shares / shares.sum())))
    return str(byte_tokenizer().decode(drawn))


def exact_label_logprobs(prompts: list[str], labels: list[str]) -> np.ndarray:
    """One token after the other, by the rule of labels.py."""
    return np.array(
        [
            [sum(token_logprobs(context, own)) for own in tokens]
            for context, tokens in split_labels(encode, prompts, labels)
        ]
    )


def exact_continuation_logprobs(prompt: str, text: str) -> list[float]:
    ((context, tokens),) = split_pairs(encode, [prompt], [text])
    return token_logprobs(context, tokens)


def token_logprobs(context: list[int], tokens: tuple[int, ...]) -> list[float]:
    return [float(next_logprobs([*context, *tokens[:place]])[token]) for place, token in enumerate(tokens)]


Plan = Callable[[int, dict[str, Any]], str | None]
"""From the number of a request and its body to how it is answered: None is well."""


@dataclass
class ToyServer:
    """What the server can do, how it behaves, and what it saw."""

    completions: bool = True
    echo: bool = True
    echo_needs_a_token: bool = False
    many: bool = True
    takes_ids: bool = True
    names_ids: bool = True
    asks_ids: bool = True
    chat: bool = True
    embeddings: bool = True
    most_top: int = 20
    keeps_spaces: bool = True
    usage: bool = True
    logprobs: bool = True
    takes_n: bool = True
    takes_seed: bool = True
    takes_whole: tuple[str, ...] = ("top_p", "top_k", "min_p", "repetition_penalty")
    default_top_p: float = 1.0
    length_name: str = "max_tokens"
    wants_key: bool = False
    context_length: int | None = 512
    cuts: int | None = None
    plan: Plan = lambda number, body: None
    delay: float = 0.0
    slow: float = 1.0

    url: str = ""
    requests: int = 0
    tokens: int = 0
    most_at_once: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, body: dict[str, Any]) -> int:
        with self._lock:
            self.bodies.append(body)
            self.requests += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            return self.requests

    def leave(self) -> None:
        with self._lock:
            self._at_once -= 1

    def answer(self, path: str, body: dict[str, Any], how: str | None) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer; ``how`` spoils it."""
        if path == "/v1/models":
            row = {"id": NAME, "object": "model", "root": "/models/toy", "created": int(time.time())}
            return 200, {
                "data": [row | ({"max_model_len": self.context_length} if self.context_length else {})]
            }
        writes = body.get("temperature", 0) > 0 or bool({"n", "seed"} & body.keys())
        if path == "/v1/completions" and self.completions:
            return self._write(body, False, how) if writes else self._complete(body, how)
        if path == "/v1/chat/completions" and self.chat:
            return self._write(body, True, how) if writes else self._chat(body, how)
        if path == "/v1/embeddings" and self.embeddings:
            return self._embed(body, how)
        return 404, {"error": {"message": f"no {path} here"}}

    def _cut(self, ids: list[int]) -> list[int]:
        """The last tokens of a prompt that is too long for a server that says nothing of it."""
        return ids[-self.cuts :] if self.cuts else ids

    def _embed(self, body: dict[str, Any], how: str | None) -> tuple[int, dict[str, Any]]:
        texts = body["input"]
        if any(not text.strip() for text in texts):
            return 400, {"error": {"message": "a text is empty"}}
        rows = [
            {"object": "embedding", "index": n, "embedding": vector(text)} for n, text in enumerate(texts)
        ]
        if how == "fewer choices":
            rows.pop()
        if how == "nan":
            rows[0]["embedding"] = [float("nan")] * 8
        if how == "wrong token":
            rows[0]["index"] = len(rows)
        return 200, self._wrap({"data": rows[::-1]}, sum(map(len, encode(texts))), 0, how)

    def _complete(self, body: dict[str, Any], how: str | None) -> tuple[int, dict[str, Any]]:
        prompts = body["prompt"]
        if isinstance(prompts, str) or (prompts and isinstance(prompts[0], int)):
            prompts = [prompts]
        elif not self.many:
            return 400, {"error": {"message": "one prompt at a time"}}
        echo, length = body.get("echo", False), body.get("max_tokens", 16)
        if not self.logprobs:
            return 400, {"error": {"message": "no logprobs here"}}
        known = {"model", "prompt", "temperature", "max_tokens", "logprobs", "echo"}
        known |= {"return_tokens_as_token_ids"} if self.names_ids else set()
        known |= {"logprob_token_ids"} if self.asks_ids else set()
        refused = (
            (set(body) - known and f"unknown {sorted(set(body) - known)}")
            or (not self.takes_ids and not isinstance(prompts[0], str) and "prompt must be a text")
            or (echo and not self.echo and "no echo")
            or (echo and length == 0 and self.echo_needs_a_token and "max_tokens must be 1 or more")
            or (len(body.get("logprob_token_ids", [])) > 128 and "too many logprob_token_ids")
            or (body.get("logprobs", 0) > self.most_top and f"logprobs is at most {self.most_top}")
        )
        if refused:
            return 400, {"error": {"message": refused}}
        choices, spent = [], 0
        for index, prompt in enumerate(prompts):
            ids = self._cut(encode([prompt])[0] if isinstance(prompt, str) else list(prompt))
            if self.context_length and len(ids) + length > self.context_length:
                return 400, {"error": {"message": f"maximum context length is {self.context_length} tokens"}}
            spent += len(ids)
            choices.append({"index": index} | self._choice(ids, echo, length, body, how))
        if how == "fewer choices":
            choices.pop()
        return 200, self._wrap({"choices": choices[::-1]}, spent, length * len(prompts), how)

    def _write(self, body: dict[str, Any], is_chat: bool, how: str | None) -> tuple[int, dict[str, Any]]:
        """Draw answers; the n-th has the seed of the request plus n, as vLLM has it."""
        known = {"model", "temperature", "messages" if is_chat else "prompt"}
        known |= {self.length_name if is_chat else "max_tokens"}
        known |= ({"n"} if self.takes_n else set()) | ({"seed"} if self.takes_seed else set())
        known |= set(self.takes_whole)
        if set(body) - known:
            return 400, {"error": {"message": f"unknown {sorted(set(body) - known)}"}}
        prompt = chat_text(body["messages"][0]["content"]) if is_chat else body["prompt"]
        ids, count = self._cut(encode([prompt])[0]), body.get("n", 1)
        length = body[self.length_name if is_chat else "max_tokens"]
        seeds = [body["seed"] + place if "seed" in body else None for place in range(count)]
        top_p = body.get("top_p", self.default_top_p)
        texts = [written(ids, length, body["temperature"], seed, top_p) for seed in seeds]
        choices: list[dict[str, Any]] = [
            {"index": index}
            | ({"message": {"role": "assistant", "content": text}} if is_chat else {"text": text})
            for index, text in enumerate(texts)
        ]
        if how == "fewer choices":
            choices.pop()
        if how == "no text":
            choices[0] |= {"message": {"role": "assistant"}, "text": None}
        if how == "refusal":
            choices[0] |= {"message": {"role": "assistant", "content": None, "refusal": "no"}}
        return 200, self._wrap({"choices": choices[::-1]}, len(ids), count * length, how)

    def _choice(
        self, ids: list[int], echo: bool, length: int, body: dict[str, Any], how: str | None
    ) -> dict[str, Any]:
        named = body.get("return_tokens_as_token_ids", False)
        drawn: list[int] = []
        for _ in range(length):
            drawn.append(int(next_logprobs([*ids, *drawn]).argmax()))
        shown = [*ids, *drawn] if echo else drawn
        first = 0 if echo else len(ids)
        whole = [*ids, *drawn]
        values: list[float | None] = [
            None if place == 0 else float(next_logprobs(whole[:place])[whole[place]])
            for place in range(first, len(whole))
        ]
        top = []
        for place in range(len(ids), len(whole)):
            table = next_logprobs(whole[:place])
            wanted = [whole[place], *body.get("logprob_token_ids", [])]
            if "logprob_token_ids" not in body:
                wanted = list(map(int, np.argsort(-table)[: body.get("logprobs", 0)]))
            top.append({self._name(token, named): float(table[token]) for token in wanted})
        if how == "wrong token":
            shown = [(token + 1) % len(byte_tokenizer()) for token in shown]
            top = [{"token_id:999999" if named else "wrong": -0.5} if "logprob_token_ids" in body else {}]
        if how in ("nan", "positive"):
            bad = float("nan") if how == "nan" else 0.5
            values = [values[0], *[bad] * (len(values) - 1)]
            top = [dict.fromkeys(one, bad) for one in top]
        logprobs = {
            "tokens": [self._name(token, named) for token in shown],
            "token_logprobs": values,
            "top_logprobs": top,
            "text_offset": [0] * len(shown),
        }
        text = byte_tokenizer().decode(shown)
        return {"text": text, "logprobs": None if how == "no logprobs" else logprobs}

    def _chat(self, body: dict[str, Any], how: str | None) -> tuple[int, dict[str, Any]]:
        if not self.logprobs:
            return 400, {"error": {"message": "no logprobs here"}}
        if "return_tokens_as_token_ids" in body and not self.names_ids:
            return 400, {"error": {"message": "unknown return_tokens_as_token_ids"}}
        if body["top_logprobs"] > self.most_top:
            return 400, {"error": {"message": f"top_logprobs is at most {self.most_top}"}}
        named = body.get("return_tokens_as_token_ids", False)
        ids = self._cut(encode([chat_text(body["messages"][0]["content"])])[0])
        table = next_logprobs(ids)
        value = {"nan": float("nan"), "positive": 0.5}.get(how or "")
        top = [
            {
                "token": self._name(int(token), named),
                "bytes": list(read(int(token)).encode()),
                "logprob": float(table[token]) if value is None else value,
            }
            for token in np.argsort(-table)[: body["top_logprobs"]]
        ]
        content = [top[0] | {"top_logprobs": [] if how == "wrong token" else top}]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": read(int(table.argmax()))},
            "logprobs": None if how == "no logprobs" else {"content": content},
        }
        choices = [] if how == "fewer choices" else [choice]
        return 200, self._wrap({"choices": choices}, len(ids), 1, how)

    def _name(self, token: int, named: bool) -> str:
        if named:
            return f"token_id:{token}"
        return read(token) if self.keeps_spaces else read(token).removeprefix(" ")

    def _wrap(self, answer: dict[str, Any], prompt: int, drawn: int, how: str | None) -> dict[str, Any]:
        with self._lock:
            self.tokens += prompt + drawn
        usage = {"prompt_tokens": prompt, "completion_tokens": drawn, "total_tokens": prompt + drawn}
        model = "another" if how == "other model" else NAME
        return answer | {"model": model} | ({"usage": usage} if self.usage else {})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    toy: ToyServer

    def do_GET(self) -> None:
        self._handle({})

    def do_POST(self) -> None:
        self._handle(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _handle(self, body: dict[str, Any]) -> None:
        toy = self.toy
        number = toy.enter(body)
        left = False
        try:
            how = toy.plan(number, body)
            time.sleep(toy.slow if how == "slow" else toy.delay)
            if toy.wants_key and self.headers.get("Authorization") != f"Bearer {KEY}":
                said = f"wrong key: {self.headers.get('Authorization')}"
                return self._send(401, {"error": {"message": said}})
            if how in ("429", "429 after"):
                self._send(
                    429, {"error": {"message": "too many"}}, {"Retry-After": "0.015"} if "a" in how else {}
                )
            elif how in ("500", "503"):
                self._send(int(how), {"error": {"message": f"failed on {self.headers.get('Authorization')}"}})
            elif how == "malformed":
                self._send_bytes(200, b'{"choices": [{"index": 0, "logp', {})
            elif how == "cut":
                self._cut()
            elif how == "endless":
                self._send_endless()
            elif how == "bomb":
                self._send_bytes(200, BOMB, {"Content-Encoding": "gzip"})
            elif how == "odd packing":
                self._send_bytes(200, BOMB, {"Content-Encoding": "gzip, gzip"})
            else:
                status, answer = toy.answer(self.path, body, how)
                toy.leave()
                left = True
                if status == 200 and how is None:
                    toy.answered.append(json.dumps(body))
                self._send(status, answer)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            if not left:
                toy.leave()

    def _send(self, status: int, answer: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send_bytes(status, json.dumps(answer).encode(), headers or {})

    def _send_bytes(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _send_endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(3 << 30))
        self.end_headers()
        for _ in range(3 << 10):
            self.wfile.write(b" " * (1 << 20))

    def _cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"choices": [')
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        return


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        return


@contextlib.contextmanager
def serving(toy: ToyServer, port: int = 0) -> Iterator[ToyServer]:
    """Serve until the end of the block."""
    handler = type("Handler", (_Handler,), {"toy": toy})
    http = _Http(("127.0.0.1", port), handler)
    toy.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield toy
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
