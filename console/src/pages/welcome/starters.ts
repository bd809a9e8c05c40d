/** Scripts to begin with: what `jobs/new?starter=NAME` fills in. Each runs as it is; tests run them, too. */
import digits from "./starters/digits.py?raw";
import hello from "./starters/hello.py?raw";
import images from "./starters/images.py?raw";
import table from "./starters/table.py?raw";

export interface Starter {
  name: string;
  /** Words of the area `welcome`: what it is called, and what it needs and does. */
  title: `welcome:starters.${string}.title`;
  text: `welcome:starters.${string}.text`;
  /** The script's name in the code folder. */
  file: string;
  code: string;
  /** Of the catalogue. */
  environment: string;
  /** Name of the input → the dataset that fits, or "" where the user has to choose one. */
  inputs: Record<string, string>;
  /** It runs without its inputs, too. */
  inputsOptional: boolean;
  /** The artifact to register as a model. */
  model: string | null;
}

const of = (
  name: string,
  code: string,
  environment: string,
  more: Partial<Pick<Starter, "inputs" | "inputsOptional" | "model">> = {},
): Starter => ({
  name,
  title: `welcome:starters.${name}.title`,
  text: `welcome:starters.${name}.text`,
  file: "train.py",
  code,
  environment,
  inputs: {},
  inputsOptional: false,
  model: null,
  ...more,
});

export const STARTERS: readonly Starter[] = [
  of("digits", digits, "sklearn", { inputs: { digits: "digits" }, inputsOptional: true, model: "model.joblib" }),
  of("table", table, "sklearn", { inputs: { data: "" }, model: "model.joblib" }),
  of("images", images, "pytorch", { inputs: { data: "" }, model: "model.pt" }),
  of("hello", hello, "base"),
];
