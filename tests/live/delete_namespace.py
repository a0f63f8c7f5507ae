"""Delete what a live run left: python tests/live/delete_namespace.py live-<16 hex digits>."""

import json
import os
import re
import sys

from google.cloud.firestore import Client


def connect() -> Client:
    project = os.environ["GCP_PROJECT_ID"]
    if text := os.environ.get("GCP_SA_KEY_JSON"):
        return Client.from_service_account_info(json.loads(text), project=project)
    if path := os.environ.get("GCP_SA_KEY_PATH"):
        return Client.from_service_account_json(path, project=project)
    return Client(project=project)  # with the application default credential


def delete(prefix: str) -> int:
    """Every test of a run has namespaces of its own, which begin with the run's."""
    client = connect()
    # list_documents also names those that exist only as the parent of others.
    namespaces = client.collection("namespaces").list_documents()
    return sum(client.recursive_delete(ref) for ref in namespaces if ref.id.startswith(prefix))


def main() -> None:
    prefix = sys.argv[1]
    if not re.fullmatch(r"live-[0-9a-f]{16}", prefix):
        raise SystemExit("only namespaces of the live tests, live-<16 hex digits>, are deleted")
    print(f"deleted {delete(prefix)} documents of {prefix}")


if __name__ == "__main__":
    main()
