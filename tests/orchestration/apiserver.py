"""A small Kubernetes API server for the real kubectl and helm: a few kinds, kept in memory, by the documented protocol.

It speaks discovery, lists, watches, creation, replacement, deletion, merge patches, server-side apply with owned fields
and conflicts, and dry runs. It schedules nothing: a Deployment is ready at once, unless its image is `page:broken`.
"""

import base64
import copy
import http.server
import itertools
import json
import ssl
import tempfile
import threading
import uuid
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KINDS = {  # plural: kind, group and version, whether it lies in a namespace
    "namespaces": ("Namespace", "v1", False),
    "configmaps": ("ConfigMap", "v1", True),
    "secrets": ("Secret", "v1", True),
    "deployments": ("Deployment", "apps/v1", True),
    "replicasets": ("ReplicaSet", "apps/v1", True),
    "pods": ("Pod", "v1", True),
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


class Refused(Exception):
    """An answer of the API that is no success: code, reason, message."""


class Store:
    """Objects by plural, namespace and name."""

    def __init__(self):
        self.objects, self.owned = {}, {}
        self.versions = itertools.count(1)
        self.changed = threading.Condition()
        self.events = []

    def put(self, key, one, *, dry, event):
        """Keep it under a new version; what alters nothing, and a dry run of what is there, has the old one."""
        live = self.objects.get(key)
        if live == one or (live and dry):
            return one
        metadata = one["metadata"]
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        metadata["generation"] = metadata.get("generation", 0) + (event == "ADDED")
        metadata["resourceVersion"] = str(next(self.versions))
        for name, text in one.pop("stringData", {}).items():  # written, never read
            one.setdefault("data", {})[name] = base64.b64encode(text.encode()).decode()
        if one["kind"] == "Deployment":
            broken = "image: page:broken" in yaml.safe_dump(
                one["spec"]
            )  # the one image that never becomes ready
            count = 0 if broken else one["spec"].get("replicas", 1)
            ready = dict.fromkeys(
                ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count
            )
            available = {"type": "Available", "status": str(not broken), "reason": "Counted"}
            one["status"] = {**ready, "observedGeneration": metadata["generation"], "conditions": [available]}
        if not dry:
            self.objects[key] = one
            self._tell(event, key, one)
        return one

    def delete(self, key):
        one = self.get(key)
        del self.objects[key]
        self._tell("DELETED", key, one)
        return one

    def get(self, key):
        if key not in self.objects:
            raise Refused(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return copy.deepcopy(self.objects[key])

    def apply(self, key, wanted, *, manager, force, dry):
        """Server-side apply: what this manager owned and no longer names goes; what others own is a conflict."""
        with self.changed:
            live = copy.deepcopy(self.objects.get(key)) or {}
            owned = self.owned.get(key, {})
            for other, fields in owned.items():
                for path in sorted(leaves(wanted) & fields):
                    if other != manager and at(live, path) != at(wanted, path) and not force:
                        said = f'Apply failed with 1 conflict: conflict with "{other}": .{".".join(path)}'
                        raise Refused(409, "Conflict", said)
            for path in owned.get(manager, set()) - leaves(wanted):
                drop(live, path)
            merged = self.put(key, merge(live, wanted), dry=dry, event="MODIFIED" if live else "ADDED")
            if not dry:
                self.owned.setdefault(key, {})[manager] = leaves(wanted)
            return merged, not live

    def _tell(self, event, key, one):
        with self.changed:
            self.events.append((int(one["metadata"]["resourceVersion"]), event, key, copy.deepcopy(one)))
            self.changed.notify_all()


def leaves(one, before=()):
    """Paths to the values that an applied object names, but for what names the object itself."""
    found: set[tuple[str, ...]] = set()
    for name, value in one.items():
        path = (*before, name)
        if path in {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}:
            continue
        found |= leaves(value, path) if isinstance(value, dict) and value else {path}
    return found


def at(one, path):
    for name in path:
        one = one.get(name) if isinstance(one, dict) else None
    return one


def drop(one, path):
    *parents, last = path
    for name in parents:
        one = one.get(name)
        if not isinstance(one, dict):
            return
    one.pop(last, None)


def merge(one, patch):
    """RFC 7386."""
    result = dict(one)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merge(result.get(name) if isinstance(result.get(name), dict) else {}, value)
        else:
            result[name] = value
    return result


def parts(data):
    """(number, value) of the parts of a protobuf message: bytes, or a whole number."""
    at = 0
    found: list[tuple[int, Any]] = []

    def whole():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = data[at], at + 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = whole()
        if tag & 7 == 2:
            size = whole()
            found.append((tag >> 3, data[at : at + size]))
            at += size
        else:
            found.append((tag >> 3, whole()))
    return found


def mapping(messages, number):
    """A map of texts to bytes."""
    pairs = (dict(parts(value)) for at, value in messages if at == number)
    return {pair[1].decode(): pair.get(2, b"") for pair in pairs}


def secret(data):
    """A Secret as clients of its type send it: in an envelope with its bytes in part 2."""
    sent = parts(dict(parts(data))[2])
    one = dict(sent)
    named = parts(one[1])
    labels = {name: text.decode() for name, text in mapping(named, 11).items()}
    metadata = {"name": dict(named)[1].decode(), "labels": labels}
    kept = {name: base64.b64encode(value).decode() for name, value in mapping(sent, 2).items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": one[3].decode(), "metadata": metadata, "data": kept}


def selected(one, selector):
    labels = one["metadata"].get("labels") or {}
    wanted = [part.replace("==", "=").partition("=") for part in selector.split(",") if part]
    return all(labels.get(name) == value for name, _, value in wanted)


class Server(http.server.ThreadingHTTPServer):
    """What its handlers share."""

    daemon_threads = True
    token = "open-sesame"

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.store, self.asked, self.over = Store(), [], threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self):
        self.answer(self.read)

    def do_POST(self):
        self.answer(self.create)

    def do_PUT(self):
        self.answer(self.replace)

    def do_PATCH(self):
        self.answer(self.patch)

    def do_DELETE(self):
        self.answer(lambda: self.store.delete(self.key))

    def log_message(self, *args):
        """Quiet."""

    @property
    def store(self):
        return self.server.store

    def answer(self, verb):
        address = urlsplit(self.path)
        self.query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        self.parts = address.path.strip("/").split("/")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.send(401, self.status(401, "Unauthorized", "Unauthorized"))
        try:
            found = verb()
        except Refused as refused:
            return self.send(refused.args[0], self.status(*refused.args))
        if found is not None:
            self.send(201 if self.command == "POST" else 200, found)
        return None

    def status(self, code, reason, message):
        told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return {**told, "message": message, "reason": reason, "code": code}

    def send(self, code, value):
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    # --- what is asked for ------------------------------------------------------------------------------------

    @property
    def dry(self):
        return self.query.get("dryRun") == "All"

    @property
    def given(self):
        return secret(self.body[4:]) if self.body.startswith(b"k8s\0") else json.loads(self.body)

    @property
    def place(self):
        """(plural, namespace, name, the rest) of an address of objects."""
        rest = self.parts[2:] if self.parts[0] == "api" else self.parts[3:]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        if rest[0] not in KINDS:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        return rest[0], namespace, rest[1] if len(rest) > 1 else "", rest[2:]

    @property
    def key(self):
        return self.place[:3]

    def read(self):
        fixed = discovery().get("/".join(self.parts))
        if fixed is not None:
            return fixed
        if self.parts[0] not in {"api", "apis"}:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        plural, namespace, name, _ = self.place
        if name:
            return self.store.get((plural, namespace, name))
        if self.query.get("watch") in {"true", "1"}:
            return self.watch(plural, namespace)
        kind, version, _ = KINDS[plural]
        items = [one for _, one in self.matching(plural, namespace)]
        revision = {"resourceVersion": str(next(self.store.versions))}
        return {"kind": f"{kind}List", "apiVersion": version, "metadata": revision, "items": items}

    def matching(self, plural, namespace):
        wanted = self.query.get("labelSelector", "")
        name = self.query.get("fieldSelector", "").removeprefix("metadata.name=")
        for key, one in list(self.store.objects.items()):
            if (
                key[0] == plural
                and namespace in {"", key[1]}
                and selected(one, wanted)
                and name in {"", key[2]}
            ):
                yield key, one

    def watch(self, plural, namespace):
        """Events from a version on, one JSON object a line, until the client hangs up."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        since = int(self.query.get("resourceVersion") or 0)
        if self.query.get("sendInitialEvents") == "true":
            for _, one in self.matching(plural, namespace):
                self.event("ADDED", one)
            kind, version, _ = KINDS[plural]
            since = next(self.store.versions)
            ended = {"k8s.io/initial-events-end": "true"}
            self.event("BOOKMARK", {"kind": kind, "apiVersion": version,
                                    "metadata": {"resourceVersion": str(since), "annotations": ended}})  # fmt: skip
        while not self.server.over.is_set():
            with self.store.changed:
                self.store.changed.wait(0.1)
                new = [one for one in self.store.events if one[0] > since]
            for version, event, key, one in new:
                since = version
                if key[0] == plural and namespace in {"", key[1]}:
                    try:
                        self.event(event, one)
                    except OSError:
                        return
        self.close_connection = True

    def event(self, kind, one):
        data = json.dumps({"type": kind, "object": one}).encode() + b"\n"
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def create(self):
        plural, namespace, _, _ = self.place
        one = self.given
        if KINDS[plural][2]:
            one["metadata"]["namespace"] = namespace
        key = (plural, namespace, one["metadata"]["name"])
        if key in self.store.objects:
            raise Refused(409, "AlreadyExists", f'{plural} "{key[2]}" already exists')
        return self.store.put(key, one, dry=self.dry, event="ADDED")

    def replace(self):
        self.store.get(self.key)
        return self.store.put(self.key, self.given, dry=self.dry, event="MODIFIED")

    def patch(self):
        plural, namespace, name, _ = self.place
        kind = self.headers["Content-Type"]
        if kind == "application/apply-patch+yaml":
            wanted = yaml.safe_load(self.body)
            wanted["metadata"] = {**wanted["metadata"], **({"namespace": namespace} if namespace else {})}
            if namespace and ("namespaces", "", namespace) not in self.store.objects:
                raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
            manager, force = self.query["fieldManager"], self.query.get("force") == "true"
            return self.store.apply(
                (plural, namespace, name), wanted, manager=manager, force=force, dry=self.dry
            )[0]
        live = self.store.get(self.key)
        return self.store.put(self.key, merge(live, json.loads(self.body)), dry=self.dry, event="MODIFIED")


def discovery():
    """What the server has, as clients ask for it."""
    groups = sorted({version for _, version, _ in KINDS.values()})
    apps = {"groupVersion": "apps/v1", "version": "v1"}
    found = {
        "version": {"major": "1", "minor": "35", "gitVersion": "v1.35.0", "platform": "linux/amd64"},
        "api": {"kind": "APIVersions", "versions": ["v1"]},
        "apis": {"kind": "APIGroupList", "apiVersion": "v1",
                 "groups": [{"name": "apps", "versions": [apps], "preferredVersion": apps}]},
        "openapi/v3": {"paths": {address(one): {"serverRelativeURL": f"/openapi/v3/{address(one)}"} for one in groups}},
    }  # fmt: skip
    for group in groups:
        kinds = {plural: one for plural, one in KINDS.items() if one[1] == group}
        found[address(group)] = {
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group,
            "resources": [
                {"name": plural, "singularName": kind.lower(), "namespaced": inside, "kind": kind, "verbs": VERBS}
                for plural, (kind, _, inside) in kinds.items()
            ],
        }  # fmt: skip
        found[f"openapi/v3/{address(group)}"] = openapi(group, kinds)
    return found


def address(group):
    return f"apis/{group}" if "/" in group else f"api/{group}"


def openapi(group, kinds):
    """Says that a patch takes `fieldValidation`, which is how kubectl learns that the server validates."""
    asked = [
        {"name": one, "in": "query", "schema": {"type": "string"}} for one in ("dryRun", "fieldValidation")
    ]
    name, _, version = group.rpartition("/")
    paths = {}
    for plural, (kind, _, inside) in kinds.items():
        place = f"/{address(group)}/{'namespaces/{namespace}/' if inside else ''}{plural}/{{name}}"
        patch = {"x-kubernetes-action": "patch", "parameters": asked,
                 "x-kubernetes-group-version-kind": {"group": name, "version": version, "kind": kind},
                 "responses": {"200": {"description": "OK"}}}  # fmt: skip
        paths[place] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.35.0"}, "paths": paths}


def identify(server):
    """Give it a certificate of its own, without which no client sends a token; returned as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cluster")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate + plain)
        file.flush()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file.name)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return certificate


class Cluster:
    """A running server and the kubeconfig that leads to it."""

    def __enter__(self):
        self.server = Server()
        self.certificate = identify(self.server)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()
        self.objects = self.server.store.objects
        for name in ("default", "web"):
            one = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}
            self.server.store.put(("namespaces", "", name), one, dry=False, event="ADDED")
        return self

    def __exit__(self, *args):
        self.server.over.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def written(self):
        """What was asked of it that is no question and no dry run."""
        return [
            (verb, path) for verb, path in self.server.asked if verb != "GET" and "dryRun=All" not in path
        ]

    @property
    def kubeconfig(self):
        authority = base64.b64encode(self.certificate).decode()
        place = {
            "server": f"https://127.0.0.1:{self.server.server_port}",
            "certificate-authority-data": authority,
        }
        return yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "bank",
            "clusters": [{"name": "bank", "cluster": place}],
            "users": [{"name": "countersign", "user": {"token": self.server.token}}],
            "contexts": [{"name": "bank", "context": {"cluster": "bank", "user": "countersign"}}],
        })  # fmt: skip
