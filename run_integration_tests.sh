#!/usr/bin/env bash
# The contract suite on a real Firestore: nox -s live, with its switches on.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
    cat <<'TEXT'
usage: run_integration_tests.sh [--verbose]

Runs the contract suite on a real Firestore, in a namespace of its own that is deleted afterwards.

  GCP_PROJECT_ID   the project to test in; needed
  a credential     one of GCP_SA_KEY_JSON, GCP_SA_KEY_PATH, GOOGLE_APPLICATION_CREDENTIALS,
                   or 'gcloud auth application-default login'; role roles/datastore.user

RUN_INTEGRATION_TESTS and RUN_FIRESTORE_TESTS are set to true unless you set them.
TEXT
}

options=()
for argument in "$@"; do
    case "$argument" in
        --verbose | -v) options+=(-v -rA) ;;
        --help | -h) usage; exit 0 ;;
        *) echo "unknown option: $argument" >&2; usage >&2; exit 2 ;;
    esac
done

fail() {
    echo "$1" >&2
    exit 2
}

[ -n "${GCP_PROJECT_ID:-}" ] || fail "GCP_PROJECT_ID is not set: which project is to be tested in?"
[ -z "${FIRESTORE_EMULATOR_HOST:-}" ] || fail "FIRESTORE_EMULATOR_HOST is set: unset it to reach a real Firestore."

default_credential="${CLOUDSDK_CONFIG:-$HOME/.config/gcloud}/application_default_credentials.json"
[ -n "${GCP_SA_KEY_JSON:-}${GCP_SA_KEY_PATH:-}${GOOGLE_APPLICATION_CREDENTIALS:-}" ] ||
    [ -f "$default_credential" ] || [ -n "${K_SERVICE:-}${CLOUD_SHELL:-}" ] ||
    echo "No credential found: this works only where a metadata server gives one." >&2

command -v nox >/dev/null || fail "nox is missing: pip install -e '.[dev]'"

export RUN_INTEGRATION_TESTS="${RUN_INTEGRATION_TESTS:-true}"
export RUN_FIRESTORE_TESTS="${RUN_FIRESTORE_TESTS:-true}"
exec nox -s live -- "${options[@]}"
