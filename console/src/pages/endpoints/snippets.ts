/** Code that asks an endpoint, with its real address and signature. Pure. */
import type { Question, Signature, Tensor } from "./playground/signature";

export interface Asked {
  url: string;
  model: string;
  signature: Signature;
}

const NUMPY: Record<string, string> = { FP16: "float16", FP32: "float32", FP64: "float64", BOOL: "bool", BYTES: "object" };

const inferUrl = (asked: Asked) => `${asked.url}/v2/models/${encodeURIComponent(asked.model)}/infer`;
const numpy = (tensor: Tensor) => NUMPY[tensor.datatype] ?? tensor.datatype.toLowerCase();
const sized = (tensor: Tensor) => tensor.shape.map((size) => (size < 0 ? 1 : size));
/** A name of a variable, whatever the tensor is called; several tensors have different ones. */
export function variables(tensors: Tensor[]): string[] {
  const taken = new Set(["numpy", "np", "requests", "os", "client", "result", "answer", "response", "url", "token", "import", "from", "in", "is", "class", "for", "def", "await", "const", "new", "Object", "asyncio", "triton", "main"]);
  return tensors.map((tensor, at) => {
    let word = tensor.name.replace(/\W+/g, "_").replace(/^(\d)/, "_$1");
    if (!/^[A-Za-z_]\w*$/.test(word) || taken.has(word)) word = `input_${at}`;
    taken.add(word);
    return word;
  });
}
const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

/** The request of the playground, to the endpoint itself. */
export function curlOf(asked: Asked, question: Question): string {
  return [
    `curl ${inferUrl(asked)} \\`,
    `  -H "Authorization: Bearer $TOKEN" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d ${quoted(JSON.stringify(question))}`,
  ].join("\n");
}

/** A value of JSON as Python writes it. */
function literal(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one)}`).join(", ")}}`;
  return JSON.stringify(value);
}

/** The request of the playground, in Python. */
export function pythonOf(asked: Asked, question: Question): string {
  return [
    "import os",
    "",
    "import requests",
    "",
    "answer = requests.post(",
    `    ${JSON.stringify(inferUrl(asked))},`,
    `    headers={"Authorization": f"Bearer {os.environ['TOKEN']}"},`,
    `    json=${literal(question)},`,
    ")",
    "answer.raise_for_status()",
    'for output in answer.json()["outputs"]:',
    '    print(output["name"], output["data"])',
  ].join("\n");
}

/** The request of the playground, in JavaScript. */
export function javaScriptOf(asked: Asked, question: Question): string {
  return [...javaScriptHead(asked), `  body: JSON.stringify(${JSON.stringify(question)}),`, ...JAVASCRIPT_TAIL].join("\n");
}

/** A short one: it reads a file. */
export function curlFile(asked: Asked): string {
  return [
    `curl ${inferUrl(asked)} \\`,
    `  -H "Authorization: Bearer $TOKEN" \\`,
    `  -H "Content-Type: application/json" \\`,
    `  -d @request.json`,
  ].join("\n");
}

/** A line that makes an array of zeros, or of texts, of the input’s shape. */
export const pythonArray = (tensor: Tensor, word: string) =>
  tensor.datatype === "BYTES"
    ? `${word} = np.full(${tuple(sized(tensor))}, "text", dtype=object)`
    : `${word} = np.zeros(${tuple(sized(tensor))}, dtype=np.${numpy(tensor) === "bool" ? "bool_" : numpy(tensor)})`;
const tuple = (sizes: number[]) => `(${sizes.join(", ")}${sizes.length === 1 ? "," : ""})`;

export function pythonRequests(asked: Asked): string {
  const { inputs, outputs } = asked.signature;
  const words = variables(inputs);
  return [
    "import os",
    "",
    "import numpy as np",
    "import requests",
    "",
    ...inputs.map((tensor, at) => pythonArray(tensor, words[at]!)),
    "answer = requests.post(",
    `    ${JSON.stringify(inferUrl(asked))},`,
    `    headers={"Authorization": f"Bearer {os.environ['TOKEN']}"},`,
    "    json={",
    '        "inputs": [',
    ...inputs.map(
      (tensor, at) =>
        `            {"name": ${JSON.stringify(tensor.name)}, "shape": ${words[at]!}.shape, "datatype": "${tensor.datatype}", "data": ${words[at]!}.ravel().tolist()},`,
    ),
    "        ]",
    "    },",
    ")",
    "answer.raise_for_status()",
    'outputs = {one["name"]: np.reshape(one["data"], one["shape"]) for one in answer.json()["outputs"]}',
    ...outputs.slice(0, 2).map((tensor) => `print(outputs[${JSON.stringify(tensor.name)}])`),
  ].join("\n");
}

/** Triton's client takes the address without a scheme, and the path as a part of it. */
export function pythonTriton(asked: Asked): string {
  const { inputs, outputs } = asked.signature;
  const words = variables(inputs);
  const [scheme, rest] = asked.url.split("://") as [string, string];
  return [
    "import os",
    "",
    "import numpy as np",
    "import tritonclient.http as triton",
    "",
    `client = triton.InferenceServerClient(${JSON.stringify(rest)}${scheme === "https" ? ", ssl=True" : ""})`,
    ...inputs.flatMap((tensor, at) => {
      const word = words[at]!;
      return [
        pythonArray(tensor, word),
        `${word}_input = triton.InferInput(${JSON.stringify(tensor.name)}, ${word}.shape, "${tensor.datatype}")`,
        `${word}_input.set_data_from_numpy(${word})`,
      ];
    }),
    "result = client.infer(",
    `    ${JSON.stringify(asked.model)},`,
    `    [${words.map((word) => `${word}_input`).join(", ")}],`,
    `    headers={"Authorization": f"Bearer {os.environ['TOKEN']}"},`,
    ")",
    ...outputs.slice(0, 2).map((tensor) => `print(result.as_numpy(${JSON.stringify(tensor.name)}))`),
  ].join("\n");
}

const javaScriptHead = (asked: Asked) => [
  `const response = await fetch(${JSON.stringify(inferUrl(asked))}, {`,
  '  method: "POST",',
  "  headers: { Authorization: `Bearer ${process.env.TOKEN}`, \"Content-Type\": \"application/json\" },",
];
const JAVASCRIPT_TAIL = [
  "});",
  "if (!response.ok) throw new Error((await response.json()).error);",
  "const { outputs } = await response.json();",
  "console.log(Object.fromEntries(outputs.map((one) => [one.name, one.data])));",
];

export function javaScript(asked: Asked): string {
  const { inputs } = asked.signature;
  return [
    ...javaScriptHead(asked),
    "  body: JSON.stringify({",
    "    inputs: [",
    ...inputs.map((tensor) => {
      const shape = sized(tensor);
      const count = shape.reduce((product, size) => product * size, 1);
      const value = tensor.datatype === "BYTES" ? '"text"' : tensor.datatype === "BOOL" ? "false" : "0";
      return `      { name: ${JSON.stringify(tensor.name)}, shape: ${JSON.stringify(shape)}, datatype: "${tensor.datatype}", data: new Array(${count}).fill(${value}) },`;
    }),
    "    ],",
    "  }),",
    ...JAVASCRIPT_TAIL,
  ].join("\n");
}

export function nacrePython(asked: { name: string; signature: Signature }): string {
  const inputs = asked.signature.inputs.map((tensor) => {
    const shape = sized(tensor);
    const count = shape.reduce((product, size) => product * size, 1);
    const value = tensor.datatype === "BYTES" ? '"text"' : tensor.datatype === "BOOL" ? "False" : "0.0";
    return `    {"name": ${JSON.stringify(tensor.name)}, "shape": ${JSON.stringify(shape)}, "datatype": "${tensor.datatype}", "data": [${value}] * ${count}},`;
  });
  return [
    "import nacre",
    "",
    "with nacre.Client() as client:",
    `    answer = client.endpoints.predict(${JSON.stringify(asked.name)}, [`,
    ...inputs.map((line) => `    ${line}`),
    "    ])",
    "for output in answer.outputs:",
    "    print(output.name, output.data)",
  ].join("\n");
}
