# SPDX-License-Identifier: Apache-2.0
"""A client of the Container Runtime Interface, as crictl is, which Debian does not have. It has the interface's text.

    /usr/bin/python3 cri_client.py SOCKET FOLDER

reads a line of JSON [method, request] at a time and answers with a line [response, error]; field names as in api.proto.
Debian's python3-grpcio, python3-protobuf, protobuf-compiler and golang-github-kubernetes-cri-api-dev are what it needs.
"""

import importlib
import json
import subprocess
import sys
from pathlib import Path

TEXT = Path("/usr/share/gocode/src/k8s.io/cri-api/pkg/apis/runtime/v1/api.proto")
SECONDS = 100


def main(socket: str, folder: str) -> None:
    lines = TEXT.read_text("utf-8").splitlines(keepends=True)
    (Path(folder) / "cri.proto").write_text("".join(line for line in lines if "gogoproto" not in line))
    subprocess.run(["protoc", f"--proto_path={folder}", f"--python_out={folder}", "cri.proto"], check=True)
    sys.path.insert(0, folder)
    grpc = importlib.import_module("grpc")
    messages = importlib.import_module("cri_pb2")
    text = importlib.import_module("google.protobuf.json_format")
    services = messages.DESCRIPTOR.services_by_name
    known = {
        method.name: (f"/runtime.v1.{service}/{method.name}", method.input_type.name, method.output_type.name)
        for service in ("RuntimeService", "ImageService")
        for method in services[service].methods
    }
    channel = grpc.insecure_channel(f"unix://{socket}")
    for line in sys.stdin:
        method, request = json.loads(line)
        path, takes, gives = known[method]
        call = channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(messages, gives).FromString,
        )
        try:
            response = call(text.ParseDict(request, getattr(messages, takes)()), timeout=SECONDS)
            answer = [text.MessageToDict(response, preserving_proto_field_name=True), ""]
        except grpc.RpcError as error:
            answer = [{}, f"{error.code().name}: {error.details()}"]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
