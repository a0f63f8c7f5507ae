"""What Google says of a credential, and of a database's policies: asked over the wire."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.cloud.firestore_admin_v1.services.firestore_admin import FirestoreAdminAsyncClient
from google.cloud.firestore_admin_v1.services.firestore_admin.transports import (
    FirestoreAdminGrpcAsyncIOTransport,
)
from google.cloud.firestore_admin_v1.types import Field, ListFieldsRequest, ListFieldsResponse

import orchestra_memory as om
from orchestra_memory.backends.firestore.policies import expiry_policies
from orchestra_memory.cli.checks.credentials import credential_findings
from orchestra_memory.cli.checks.expiry import expiry_findings
from orchestra_memory.testing.probe import free_port
from orchestra_memory.urls import FirestoreUrl

TOKEN = "ya29.private-token"


class Tokens(BaseHTTPRequestHandler):
    """Hands out tokens, or what the test says."""

    status, answer = 200, {"access_token": TOKEN, "expires_in": 3_599, "token_type": "Bearer"}

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(self.answer).encode()
        self.send_response(self.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def tokens():
    """A server of tokens, and what it answers."""
    handler = type("Handler", (Tokens,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        handler.url = f"http://127.0.0.1:{server.server_port}/token"
        yield handler
        server.shutdown()


@pytest.fixture(scope="module")
def private_key():
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture
def found(private_key):
    """What is found of a key whose tokens come from a URL."""

    def look(url):
        key = {
            "type": "service_account",
            "client_email": "agents@project.iam.gserviceaccount.com",
            "private_key": private_key,
            "token_uri": url,
        }
        settings = om.Settings(gcp_sa_key_json=json.dumps(key))
        (finding,) = credential_findings(settings, emulator=None)
        assert private_key[100:200] not in str(finding)
        assert TOKEN not in str(finding)
        return finding

    return look


def test_a_credential_that_google_takes(found, tokens):
    finding = found(tokens.url)
    assert finding.grade == "ok"
    assert finding.detail == (
        "from GCP_SA_KEY_JSON, agents@project.iam.gserviceaccount.com; Google takes it, the next "
        "token in 59 minutes"
    )


@pytest.mark.parametrize("description", ["Token has been expired or revoked.", TOKEN])
def test_a_credential_that_is_refused(found, tokens, description):
    tokens.status = 400
    tokens.answer = {"error": "invalid_grant", "error_description": description}
    finding = found(tokens.url)
    assert finding.grade == "fail"
    assert finding.detail == "Google refuses the credential of GCP_SA_KEY_JSON (invalid_grant)"
    assert "gcloud iam service-accounts keys create" in finding.remedy


def test_an_answer_that_is_no_token_says_nothing_of_itself(found, tokens):
    tokens.status, tokens.answer = 403, {"unheard": "of"}
    finding = found(tokens.url)
    assert (finding.grade, finding.detail) == (
        "fail",
        "Google refuses the credential of GCP_SA_KEY_JSON",
    )


def test_google_out_of_reach_is_no_fault_of_the_credential(found):
    finding = found(f"http://127.0.0.1:{free_port()}/token")
    assert finding.grade == "warn"
    assert "no token can be fetched (TransportError)" in finding.detail


class Policies(grpc.GenericRpcHandler):
    """An administration of two pages of policies."""

    asked = None

    def service(self, details):
        if details.method != "/google.firestore.admin.v1.FirestoreAdmin/ListFields":
            return None

        async def answer(request, context):
            self.asked = ListFieldsRequest.deserialize(request)
            if self.asked.parent.startswith("projects/forbidden/"):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
            first = not self.asked.page_token
            name = "markers" if first else "memory_items"
            state = "ACTIVE" if first else "CREATING"
            path = f"projects/p/databases/d/collectionGroups/{name}/fields/expiration"
            return ListFieldsResponse.serialize(
                ListFieldsResponse(
                    fields=[Field(name=path, ttl_config=Field.TtlConfig(state=state))],
                    next_page_token="more" if first else "",
                )
            )

        return grpc.unary_unary_rpc_method_handler(answer)


def policies_of(project):
    async def run():
        handler = Policies()
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        client = FirestoreAdminAsyncClient(
            transport=FirestoreAdminGrpcAsyncIOTransport(channel=channel)
        )
        try:
            return await expiry_policies(client, project, "d"), handler.asked
        finally:
            await client.transport.close()
            await server.stop(None)

    return anyio.run(run)


def test_the_policies_of_all_collections_are_listed():
    policies, asked = policies_of("p")
    assert policies == {("markers", "expiration"): True, ("memory_items", "expiration"): False}
    assert asked.parent == "projects/p/databases/d/collectionGroups/-"
    assert asked.filter == "ttlConfig:*"


def test_who_may_not_list_them_is_told_so():
    with pytest.raises(om.PermissionDenied):
        policies_of("forbidden")


def test_what_cannot_be_known_is_said_with_the_command_that_shows_it(monkeypatch):
    async def refused(*_):
        raise om.PermissionDenied("no")

    async def run():
        url = FirestoreUrl("p", "(default)")
        return [finding async for finding in expiry_findings(url, om.Settings())]

    monkeypatch.setattr("orchestra_memory.cli.checks.expiry._policies", refused)
    (finding,) = anyio.run(run)
    assert finding.grade == "warn"
    assert "datastore.indexes.list" in finding.detail
    assert "gcloud firestore fields ttls list --database='(default)' --project=p" in finding.remedy
