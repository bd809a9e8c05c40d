import { describe, expect, it } from "vitest";
import { baseOf, dialectCode } from "./dialects";
import { largest } from "./data";
import { endpointName } from "./NewEndpoint";
import { curlOf, javaScript, javaScriptOf, nacrePython, pythonOf, pythonRequests, pythonTriton } from "./snippets";
import type { Question, Signature } from "./playground/signature";

const signature = {
  inputs: [
    { name: "in put", datatype: "FP32", shape: [-1, 2] },
    { name: "class", datatype: "BYTES", shape: [-1] },
    { name: "flag", datatype: "BOOL", shape: [1, 1] },
  ],
  outputs: [{ name: 'the "answer"', datatype: "INT64", shape: [-1] }],
} as Signature;
const asked = { url: "https://host:7375/endpoints/p/ask", model: "House prices", signature };

describe("code", () => {
  it("quotes what a shell would read", () => {
    const text = curlOf(asked, { inputs: [{ name: "it's", shape: [1], datatype: "BYTES", data: ["$(x) 'y'"] }] });
    expect(text).toContain("/v2/models/House%20prices/infer");
    expect(text.split("-d ")[1]).toBe(`'{"inputs":[{"name":"it'\\''s","shape":[1],"datatype":"BYTES","data":["$(x) '\\''y'\\''"]}]}'`);
  });
  it("has the values of the request, as each language writes them", () => {
    const question: Question = { inputs: [{ name: "flag", shape: [1, 3], datatype: "BOOL", data: [true, false, null] }] };
    expect(pythonOf(asked, question)).toContain('json={"inputs": [{"name": "flag", "shape": [1, 3], "datatype": "BOOL", "data": [True, False, None]}]},');
    expect(javaScriptOf(asked, question)).toContain(`body: JSON.stringify(${JSON.stringify(question)}),`);
    expect(javaScriptOf(asked, question)).toContain("/v2/models/House%20prices/infer");
  });
  it("has variables that are names, whatever the inputs are called", () => {
    const text = pythonRequests(asked);
    expect(text).toContain("in_put = np.zeros((1, 2), dtype=np.float32)");
    expect(text).toContain('input_1 = np.full((1,), "text", dtype=object)');
    expect(text).toContain("flag = np.zeros((1, 1), dtype=np.bool_)");
    expect(text).toContain('{"name": "class", "shape": input_1.shape');
    expect(text).toContain('outputs["the \\"answer\\""]');
  });
  it("gives Triton the address without its scheme", () => {
    expect(pythonTriton(asked)).toContain('triton.InferenceServerClient("host:7375/endpoints/p/ask", ssl=True)');
    expect(pythonTriton({ ...asked, url: "http://host/e" })).toContain('triton.InferenceServerClient("host/e")');
  });
  it("has as many values as the shape says", () => {
    expect(javaScript(asked)).toContain("shape: [1,2], datatype: \"FP32\", data: new Array(2).fill(0)");
    expect(nacrePython({ name: "ask", signature })).toContain('"shape": [1,1], "datatype": "BOOL", "data": [False] * 1');
  });
});

describe("other dialects", () => {
  const place = { url: "http://host:7375/endpoints/p/ask", grpc: "host:7375", project: "p", name: "ask", signature };
  const one = { ...place, signature: { inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }], outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }] } as Signature };
  it("have the addresses that their clients are told", () => {
    expect([baseOf("tensorflow", place), baseOf("kserve", place), baseOf("mlflow", place), baseOf("grpc", place)]).toEqual([
      "http://host:7375/endpoints/p/ask",
      "http://host:7375/endpoints/p/ask",
      "http://host:7375/endpoints/p/ask/invocations",
      "host:7375",
    ]);
  });
  it("give the only input as rows, several by name", () => {
    expect(dialectCode("tensorflow", one)).toContain('"http://host:7375/endpoints/p/ask/v1/models/ask:predict"');
    expect(dialectCode("tensorflow", one)).toContain('json={"instances": x.tolist()},');
    expect(dialectCode("tensorflow", one)).toContain('["predictions"]');
    expect(dialectCode("tensorflow", place)).toContain('json={"inputs": {"in put": in_put.tolist(), "class": input_1.tolist(), "flag": flag.tolist()}},');
    expect(dialectCode("tensorflow", place)).toContain('["outputs"]');
    expect(dialectCode("kserve", one)).toContain('        {"instances": x.tolist()},\n        model_name="ask",');
    expect(dialectCode("kserve", one)).toContain("\n    x = np.zeros((1, 2), dtype=np.float32)\n");
    expect(dialectCode("mlflow", one)).toContain('json={"inputs": {"x": x.tolist()}},');
  });
  it("call the model by its project in gRPC, with the token's key in small letters", () => {
    const text = dialectCode("grpc", one);
    expect(text).toContain('triton.InferenceServerClient("host:7375")');
    expect(text).toContain('    "p/ask",\n    [x_input],\n    headers={"authorization": f"Bearer');
    expect(text).toContain('print(result.as_numpy("y"))');
  });
});

describe("names", () => {
  it("of models become those of endpoints", () => {
    expect([endpointName("House prices!"), endpointName("Digits-CNN"), endpointName("模型"), endpointName("a".repeat(80)).length]).toEqual([
      "house-prices",
      "digits-cnn",
      "",
      64,
    ]);
  });
});

describe("the largest value of data", () => {
  it("is that of the samples, not of the labels", () => {
    const array = (shape: number[], max: number | null) => ({ array: { shape, max } });
    expect(largest([array([450], 9), array([450, 64], 16), array([3, 3], 99)])).toBe(16);
    expect(largest([array([450], 9)])).toBeNull();
    expect(largest([])).toBeNull();
  });
});
