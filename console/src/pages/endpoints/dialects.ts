/** Code for clients that were made for other servers: the same endpoint, in their dialects. Pure. */
import type { Signature } from "./playground/signature";
import { pythonArray, variables } from "./snippets";

export interface Place {
  url: string;
  /** The address of gRPC, without a scheme. */
  grpc: string;
  project: string;
  name: string;
  signature: Signature;
}

export const DIALECTS = ["tensorflow", "kserve", "mlflow", "grpc"] as const;
export type Dialect = (typeof DIALECTS)[number];

/** What a client of this kind is told as its server. */
export function baseOf(dialect: Dialect, place: Place): string {
  if (dialect === "mlflow") return `${place.url}/invocations`;
  return dialect === "grpc" ? place.grpc : place.url;
}

export function dialectCode(dialect: Dialect, place: Place): string {
  return { tensorflow, kserve, mlflow, grpc }[dialect](place).join("\n");
}

const BEARER = `f"Bearer {os.environ['TOKEN']}"`;
const arrays = (place: Place, words: string[]) => place.signature.inputs.map((tensor, at) => pythonArray(tensor, words[at]!));
const columns = (place: Place, words: string[]) =>
  `{${place.signature.inputs.map((tensor, at) => `${JSON.stringify(tensor.name)}: ${words[at]!}.tolist()`).join(", ")}}`;

/** Rows of the only input, or columns of several; and where the answer is. */
function body(place: Place, words: string[]): [string, string] {
  if (words.length === 1) return [`{"instances": ${words[0]!}.tolist()}`, "predictions"];
  return [`{"inputs": ${columns(place, words)}}`, "outputs"];
}

function posted(place: Place, words: string[], url: string, json: string, key: string): string[] {
  return [
    "import os",
    "",
    "import numpy as np",
    "import requests",
    "",
    ...arrays(place, words),
    "answer = requests.post(",
    `    ${JSON.stringify(url)},`,
    `    headers={"Authorization": ${BEARER}},`,
    `    json=${json},`,
    ")",
    "answer.raise_for_status()",
    `print(answer.json()["${key}"])`,
  ];
}

function tensorflow(place: Place): string[] {
  const words = variables(place.signature.inputs);
  return posted(place, words, `${place.url}/v1/models/${place.name}:predict`, ...body(place, words));
}

function mlflow(place: Place): string[] {
  const words = variables(place.signature.inputs);
  return posted(place, words, `${place.url}/invocations`, `{"inputs": ${columns(place, words)}}`, "predictions");
}

function kserve(place: Place): string[] {
  const words = variables(place.signature.inputs);
  const [data, key] = body(place, words);
  return [
    "import asyncio",
    "import os",
    "",
    "import numpy as np",
    "from kserve import InferenceRESTClient, RESTConfig",
    "",
    "async def main():",
    ...arrays(place, words).map((line) => `    ${line}`),
    '    client = InferenceRESTClient(RESTConfig(protocol="v1"))',
    "    answer = await client.infer(",
    `        ${JSON.stringify(place.url)},`,
    `        ${data},`,
    `        model_name=${JSON.stringify(place.name)},`,
    `        headers={"Authorization": ${BEARER}},`,
    "    )",
    `    print(answer["${key}"])`,
    "",
    "asyncio.run(main())",
  ];
}

/** By Triton's client; the key of the token is in small letters, as gRPC wants it. */
function grpc(place: Place): string[] {
  const { inputs, outputs } = place.signature;
  const words = variables(inputs);
  return [
    "import os",
    "",
    "import numpy as np",
    "import tritonclient.grpc as triton",
    "",
    `client = triton.InferenceServerClient(${JSON.stringify(place.grpc)})`,
    ...inputs.flatMap((tensor, at) => {
      const word = words[at]!;
      return [
        pythonArray(tensor, word),
        `${word}_input = triton.InferInput(${JSON.stringify(tensor.name)}, list(${word}.shape), "${tensor.datatype}")`,
        `${word}_input.set_data_from_numpy(${word})`,
      ];
    }),
    "result = client.infer(",
    `    ${JSON.stringify(`${place.project}/${place.name}`)},`,
    `    [${words.map((word) => `${word}_input`).join(", ")}],`,
    `    headers={"authorization": ${BEARER}},`,
    ")",
    ...outputs.slice(0, 2).map((tensor) => `print(result.as_numpy(${JSON.stringify(tensor.name)}))`),
  ];
}
