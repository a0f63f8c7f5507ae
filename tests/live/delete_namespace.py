"""Delete a namespace of the live tests: python tests/live/delete_namespace.py live-<hex>."""

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


def delete(namespace: str) -> int:
    client = connect()
    return client.recursive_delete(client.document("namespaces", namespace))


def main() -> None:
    namespace = sys.argv[1]
    if not re.fullmatch(r"live-[0-9a-f]{16}", namespace):
        raise SystemExit("only namespaces of the live tests, live-<16 hex digits>, are deleted")
    print(f"deleted {delete(namespace)} documents of {namespace}")


if __name__ == "__main__":
    main()
