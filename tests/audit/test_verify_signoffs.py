"""The offline verifier and people: what a passkey signed is proved by the log alone, and nothing else is."""

import base64
import copy
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import audit.verify as offline
from approvals.passkeys import Statement
from audit.canonical import canonical
from audit.verify import CannotTell
from tests.approvals.authenticator import Authenticator, b64
from tests.audit.offline import Log, check, entry

WORKERS = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
TERMINAL = {"id": "system:terminal", "kind": "system", "auth": "system"}
RSA_KEY = rsa.generate_private_key(65537, 2048)


class RsaDevice(Authenticator):
    """An authenticator with an RSA key, as Windows makes them."""

    @property
    def cose(self):
        n = RSA_KEY.public_key().public_numbers().n.to_bytes(256, "big")
        return b"\xa4\x01\x03\x03\x39\x01\x00\x20\x59\x01\x00" + n + b"\x21\x43\x01\x00\x01"

    def get(self, challenge, *, origin="http://testserver"):
        told = super().get(challenge, origin=origin)
        client, data = offline.unbase64url(told.client_data), offline.unbase64url(told.authenticator_data)
        signed = RSA_KEY.sign(data + hashlib.sha256(client).digest(), padding.PKCS1v15(), hashes.SHA256())
        return replace(told, signature=b64(signed))


class Story:
    """Entries of a log in which people enrol passkeys and decide."""

    def __init__(self):
        self.entries = []

    def add(self, kind, *, actor=None, stream=None, **data):
        self.entries.append((kind, stream or f"row-{len(self.entries)}", actor, data))
        return self

    def opened(self, signature="passkey"):
        stages = [
            {"stage": "s1", "name": "Security", "order": 1, "quorum": 1, "teams": [], "signature": signature}
        ]
        return self.add("chain.opened", chain="c1", stages=stages)

    def key(self, device, person="sam"):
        return {
            "passkey": f"key-of-{person}", "credential": b64(device.id), "public_key": b64(device.cose),
            "rp": device.host, "person": person, "account": f"account-{person}",
        }  # fmt: skip

    def trusted(self, device, person="sam", *, by=WORKERS, actor=TERMINAL, vouched_by=(), **changed):
        key = self.key(device, person)
        signature = by.sign(b"countersign/trust/v1\0" + canonical(key))
        key_id = hashlib.sha256(by.public_key().public_bytes_raw()).hexdigest()[:16]
        trust = f"ed25519:{key_id}:{base64.b64encode(signature).decode()}"
        return self.add(
            "passkey.trusted",
            actor=actor,
            **{**key, "was": "asked", "trust": trust, "vouched_by": list(vouched_by)} | changed,
        )

    def revoked(self, device, person="sam"):
        return self.add("passkey.revoked", **self.key(device, person), was="trusted")

    def given(
        self,
        device=None,
        person="sam",
        *,
        decision="approve",
        stream=None,
        origin="http://testserver",
        changed=None,
    ):
        stated = {
            "digest": "sha256:d", "chain_digest": "sha256:c", "stage": "s1", "decision": decision,
            "condition_digest": "sha256:e",
        }  # fmt: skip
        proof = {}
        if device is not None:
            made = device.get(Statement(change="ch", revision=1, **stated).challenge, origin=origin)
            key = {
                name: value
                for name, value in self.key(device, person).items()
                if name not in {"person", "account"}
            }
            proof = {"passkey": {**key, "change": "ch", "revision": 1, **made.kept}}
        data = {**stated, "person": person, "chain": "c1", "stage_name": "Security", **proof}
        for path, value in (changed or {}).items():
            place = data["passkey"] if path.startswith("passkey.") else data
            place[path.removeprefix("passkey.")] = value
        actor = {"id": f"account-{person}", "kind": "person", "auth": "session"}
        return self.add("sign_off.given", actor=actor, stream=stream, **data)

    def log(self, **more):
        bodies: list[bytes] = []
        newest: dict[str, tuple[int, str]] = {}
        for number, (kind, stream, actor, data) in enumerate(self.entries):
            version, prev = newest.get(stream) or (0, None)
            told = copy.deepcopy(data)
            body = entry(number, kind, stream=stream, version=version + 1, prev=prev, actor=actor, **told)
            newest[stream] = (version + 1, offline.leaf(body).hex())
            bodies.append(body)
        return Log(bodies, workers=(WORKERS.public_key().public_bytes_raw().hex(),), **more)


@pytest.fixture
def judged(capsys, tmp_path):
    """What the verifier answers about a story."""

    def judge(story, **more):
        log = story.log(**more)
        log.write(tmp_path / "log.zip")
        (tmp_path / "trust.json").write_bytes(log.trust())
        return check(capsys, "signoffs", tmp_path / "log.zip", "--trust", tmp_path / "trust.json")

    return judge


DEVICES = {"ES256": Authenticator, "EdDSA": lambda: Authenticator(algorithm="EdDSA"), "RS256": RsaDevice}


@pytest.fixture(params=DEVICES)
def device(request):
    return DEVICES[request.param]()


def test_a_decision_is_proved_by_the_log_alone_with_each_kind_of_key(judged, device):
    code, said = judged(Story().opened().trusted(device).given(device))
    assert code == 0, said
    assert "1 sign-offs are proved by passkeys of 1 people. 0 have none" in said


def test_a_key_revoked_afterwards_takes_nothing_away(judged, device):
    assert judged(Story().opened().trusted(device).given(device).revoked(device))[0] == 0


def test_a_no_needs_no_passkey_and_an_approval_only_where_policy_says_so(judged):
    assert judged(Story().opened().given(decision="reject").given(decision="send_back"))[0] == 0
    code, said = judged(Story().opened("session").given())
    assert (code, "1 have none, and none of these needed one" in said) == (0, True)


WRONG = {
    "demanded and lacking": (lambda _: Story().opened().given(), "demanded a passkey"),
    "revoked before": (lambda d: Story().opened().trusted(d).revoked(d).given(d), "had been revoked by entry 2"),
    "trusted afterwards": (lambda d: Story().opened().given(d).trusted(d), "nobody vouched"),
    "never trusted": (lambda d: Story().opened().given(d), "nobody vouched"),
    "trusted again": (lambda d: Story().opened().trusted(d).revoked(d).trusted(d), "after it had been revoked"),
    "trusted by a stranger": (
        lambda d: Story().opened().trusted(d, by=ed25519.Ed25519PrivateKey.generate()), "no key of workers",
    ),
    "trusted for another": (lambda d: Story().opened().trusted(d, account="x"), "no key of workers"),
    "trusted by nobody": (lambda d: Story().opened().trusted(d, actor=None), "vouched for a passkey"),
    "vouched by nothing": (lambda d: Story().opened().trusted(d, vouched_by=["?"]), "vouched for a passkey"),
    "another decision": (lambda d: Story().trusted(d).given(d, changed={"decision": "reject"}), "something else"),
    "another digest": (lambda d: Story().trusted(d).given(d, changed={"digest": "sha256:x"}), "something else"),
    "another revision": (lambda d: Story().trusted(d).given(d, changed={"passkey.revision": 2}), "something else"),
    "another person": (lambda d: Story().trusted(d).given(d, changed={"person": "ines"}), "somebody else"),
    "another key": (
        lambda d: Story().trusted(d).given(d, changed={"passkey.public_key": b64(Authenticator().cose)}), "another key",
    ),
    "another page": (lambda d: Story().trusted(d).given(d, origin="http://evil.example"), "another host"),
    "a page that ends alike": (lambda d: Story().trusted(d).given(d, origin="http://eviltestserver"), "another host"),
    "no signature": (lambda d: Story().trusted(d).given(d, changed={"passkey.signature": "AAAA"}), "does not hold"),
    "nonsense": (lambda d: Story().trusted(d).given(d, changed={"passkey.client_data": "AAAA"}), "does not say"),
    "padding": (lambda d: Story().trusted(d).given(d, changed={"passkey.signature": "AA=="}), "base64url"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_proved_is_named(judged, device, name):
    story, words = WRONG[name]
    code, said = judged(story(device))
    assert (code, words in said) == (1, True), said


@pytest.mark.parametrize("flags", [0x00, 0x01, 0x04])
def test_a_device_that_did_not_verify_its_person_proves_nothing(judged, flags):
    device = Authenticator(flags=flags)
    code, said = judged(Story().trusted(device).given(device))
    assert (code, "did not verify who held it" in said) == (1, True)


def test_a_key_is_vouched_for_by_somebody_else_with_a_key_of_their_own(judged):
    sam, ines = Authenticator(), Authenticator(algorithm="EdDSA")
    worker = {"id": "worker:1", "kind": "system", "auth": "system"}
    begun = Story().trusted(sam).given(sam, stream="vouching")
    assert (
        judged(begun.trusted(ines, "ines", actor=worker, vouched_by=["vouching"]).given(ines, "ines"))[0] == 0
    )
    wrong = [
        Story().trusted(sam).given(sam, stream="vouching", decision="reject"),
        Story().trusted(sam).given(sam, stream="vouching").add("sign_off.withdrawn", stream="vouching"),
    ]
    for story in wrong:
        assert judged(story)[0] == 0
        code, said = judged(story.trusted(ines, "ines", actor=worker, vouched_by=["vouching"]))
        assert (code, "vouched for a passkey" in said) == (1, True), said
    own = Story().trusted(sam).given(sam, stream="vouching").trusted(ines, "sam", vouched_by=["vouching"])
    assert judged(own)[0] == 1


def test_what_lies_before_the_period_cannot_be_told(judged):
    device = Authenticator()
    story = Story().opened().trusted(device).given(device)
    code, said = judged(story, first=2)
    assert (code, "trusted before the first entry" in said) == (2, True)
    assert judged(Story().opened().add("x").given(), first=1)[0] == 2


def test_without_the_key_of_the_workers_nothing_is_proved(capsys, tmp_path):
    device = Authenticator()
    log = Story().opened().trusted(device).given(device).log()
    log.write(tmp_path / "log.zip")
    code, said = check(capsys, "signoffs", tmp_path / "log.zip", "--key", log.key)
    assert (code in {1, 2}, "names no key of workers" in said) == (True, True)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_stands_in_the_place_of_a_value_is_named_and_never_believed(judged, data):
    """An entry may say anything: no kind of value makes the program stumble, and none makes it say yes."""
    device = Authenticator()
    story = Story().opened().trusted(device).given(device)
    at = data.draw(st.integers(0, 2))
    place = story.entries[at][3]
    if at == 2 and data.draw(st.booleans()):
        place = place["passkey"]
    name = data.draw(st.sampled_from(sorted(place)))
    strange = [
        None,
        True,
        0,
        -1,
        "",
        "AAAA",
        "\u00e9",
        [],
        [1],
        {},
        {"a": 1},
        ["x", None],
        "a:b:c",
        "[" * 2000,
    ]
    place[name] = data.draw(st.sampled_from(strange))
    code, said = judged(story)
    told = {"chain", "was", "stage_name", "stages", "vouched_by"}  # not part of what is proved here
    assert code in ({0, 1, 2} if name in told else {1, 2}), said


# --- signatures against the library ------------------------------------------------------------------------------


def test_p256_agrees_with_the_library_and_takes_one_spelling():
    key = ec.generate_private_key(ec.SECP256R1())
    numbers, message = key.public_key().public_numbers(), b"message"
    x, y, order = numbers.x, numbers.y, offline.ORDER
    for _ in range(5):
        right = key.sign(message, ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(right)
        assert offline.ecdsa_holds(x, y, message, right)
        assert offline.ecdsa_holds(
            x, y, message, encode_dss_signature(r, order - s)
        )  # the same to every library
        wrong = [
            (0, s),
            (r, 0),
            (order, s),
            (r, order),
            (r + order, s),
            (r, s + order),
            (s, r),
            (r, s ^ 1),
            (1, 1),
        ]
        for pair in wrong:
            assert not offline.ecdsa_holds(x, y, message, encode_dss_signature(*pair)), pair
        assert not offline.ecdsa_holds(x, y, b"other", right)
        assert not offline.ecdsa_holds(x, y ^ 1, message, right)
        long_form = b"\x30\x81" + right[1:]
        for bad in (
            right[:-1],
            right + b"\0",
            b"",
            long_form,
            right[:3] + bytes([right[3] + 1]) + b"\0" + right[4:],
        ):
            assert not offline.ecdsa_holds(x, y, message, bad)
    assert not offline.ecdsa_holds(0, 0, message, right)
    assert not offline.ecdsa_holds(x + offline.FIELD, y, message, right)


@pytest.mark.parametrize("scalar", [1, 2, 3, 5, 2**255, offline.ORDER - 1, offline.ORDER - 2])
def test_points_of_p256_are_those_of_the_library(scalar):
    expected = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    assert offline.multiply(scalar, offline.GENERATOR, None, offline.p256_add) == (expected.x, expected.y)
    assert offline.multiply(offline.ORDER, offline.GENERATOR, None, offline.p256_add) is None


def test_rsa_takes_exactly_the_padding_of_its_standard():
    n = RSA_KEY.public_key().public_numbers().n
    modulus, e, message = n.to_bytes(256, "big"), b"\x01\x00\x01", b"message"
    right = RSA_KEY.sign(message, padding.PKCS1v15(), hashes.SHA256())
    assert offline.rsa_holds(modulus, e, message, right)
    pss = RSA_KEY.sign(message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    sha1_like = RSA_KEY.sign(message, padding.PKCS1v15(), hashes.SHA512())
    more = (int.from_bytes(right, "big") + n).to_bytes(257, "big")
    for bad in (
        pss,
        sha1_like,
        more,
        right[1:],
        b"\0" + right,
        bytes(256),
        bytes(255) + b"\x01",
        right[::-1],
    ):
        assert not offline.rsa_holds(modulus, e, message, bad)
    for exponent in (b"\x01", b"\x00", b"\x02", b"\xff" * 5):
        assert not offline.rsa_holds(modulus, exponent, message, right)
    assert not offline.rsa_holds(modulus[:128], e, message, right)


def test_rsa_with_a_small_exponent_cannot_be_forged_by_a_cube_root():
    """Bleichenbacher's forgery: garbage behind the digest must not pass."""
    told = b"\x00\x01\xff\x00" + offline.SHA256_INFO + hashlib.sha256(b"message").digest()
    target = int.from_bytes(told + bytes(256 - len(told)), "big")
    low, high = 0, 1 << 700
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if middle**3 < target else (low, middle)
    assert (low**3).to_bytes(256, "big").startswith(told)
    modulus = ((1 << 2048) - 1).to_bytes(256, "big")
    assert not offline.rsa_holds(modulus, b"\x03", b"message", low.to_bytes(256, "big"))


SMALL_ORDER = [
    "01" + "00" * 31, "00" * 32, "00" * 31 + "80", "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f",
    "01" + "00" * 30 + "80",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
]  # fmt: skip


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_ed25519_judges_strange_points_as_the_library_does_or_more_strictly(point):
    public = bytes.fromhex(point)
    for signature in (public + bytes(32), bytes.fromhex(SMALL_ORDER[0]) + bytes(32), bytes(64)):
        mine = offline.signature_holds(public, b"message", signature)
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, b"message")
            theirs = True
        except Exception:  # noqa: BLE001 - whatever it says, it is a no
            theirs = False
        assert theirs or not mine


def test_a_key_of_an_unknown_kind_is_never_guessed_at():
    right = Authenticator().cose
    for cose in (
        b"",
        b"\xa0",
        right[:-1],
        right + b"\0",
        right.replace(b"\x03\x26", b"\x03\x38"),
        b"\xbf" + right[1:],
    ):
        with pytest.raises(CannotTell):
            offline.device_signed(cose, b"message", b"signature")
