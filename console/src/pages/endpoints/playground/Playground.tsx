/** Ask an endpoint by hand: its signature says how. */
import { Button, SegmentedControl, Select, Switch } from "@mantine/core";
import { IconSend } from "@tabler/icons-react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { api, ask } from "@/api/client";
import { Failure } from "@/ui/Failure";
import { useUrlState } from "@/ui/useUrlState";
import { type Endpoint, useKnown } from "../data";
import { Answer } from "./Answer";
import { DrawPad } from "./DrawPad";
import { FeaturesInput } from "./FeaturesInput";
import { ImageInput } from "./ImageInput";
import { guessRange, inputOf, type Planes, type Range, RANGES } from "./pixels";
import classes from "./Playground.module.css";
import { imageOf, type ImageShape, type Question, type Signature, type Way, waysOf } from "./signature";
import { RequestCode } from "./RequestCode";
import { LinesInput, RawInput } from "./TextInputs";

const SOON_MS = 120;

export function Playground({ endpoint, signature }: { endpoint: Endpoint; signature: Signature }) {
  const { t } = useTranslation("endpoints");
  const client = useQueryClient();
  const known = useKnown(endpoint.project, endpoint);
  const ways = waysOf(signature);
  const [asked, setWay] = useUrlState("by", ways[0]!);
  const way = ways.find((one) => one === asked) ?? ways[0]!;
  const [question, setQuestion] = useState<Question | null>(null);
  const answer = useMutation({
    mutationFn: async (wanted: Question) => {
      const begin = performance.now();
      const path = { project: endpoint.project, endpoint: endpoint.name };
      const prediction = await ask(
        api.POST("/api/v1/projects/{project}/endpoints/{endpoint}/predict", { params: { path }, body: wanted }),
      );
      return { prediction, roundTrip: performance.now() - begin, version: endpoint.version };
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["endpoint-stats", endpoint.project, endpoint.name] }),
  });
  const { mutate, reset } = answer;
  const live = way === "draw" || way === "image";
  const text = question && JSON.stringify(question);
  // A drawing is asked about as soon as it rests; what is typed, when it is sent.
  useEffect(() => {
    if (!live) return undefined;
    if (text === null) {
      reset();
      return undefined;
    }
    const timer = setTimeout(() => mutate(JSON.parse(text) as Question), SOON_MS);
    return () => clearTimeout(timer);
  }, [live, text, mutate, reset, endpoint.version]);
  const send = () => question && mutate(question);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
  };
  const choose = (value: string) => {
    if (value !== "raw") setQuestion(null); // raw begins with what was asked before
    reset();
    setWay(value);
  };
  return (
    <div className={classes.play}>
      {/* Ctrl+Enter sends from any field of the form. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <section className={classes.panel} aria-label={t("play.question")} onKeyDown={onKeyDown}>
        {ways.length > 1 && (
          <SegmentedControl
            value={way}
            onChange={choose}
            data={ways.map((one) => ({ value: one, label: t(`ways.${one}`) }))}
            aria-label={t("play.ways")}
            w="fit-content"
            maw="100%"
          />
        )}
        {live && <Pixels key={way} way={way} signature={signature} most={known.most} onQuestion={setQuestion} />}
        {way === "features" && <FeaturesInput signature={signature} onQuestion={setQuestion} />}
        {way === "text" && <LinesInput signature={signature} onQuestion={setQuestion} />}
        {way === "raw" && <RawInput signature={signature} before={question} onQuestion={setQuestion} />}
        {!live && (
          <div className={classes.options}>
            <Button leftSection={<IconSend size={14} />} onClick={send} disabled={!question} loading={answer.isPending}>
              {t("play.ask")}
            </Button>
            <span className={classes.help}>{t("play.keys")}</span>
          </div>
        )}
        {question && <RequestCode asked={{ url: endpoint.url, model: endpoint.model, signature }} question={question} />}
      </section>
      <section className={classes.answer} aria-label={t("play.answer")} data-waiting={(answer.isPending && answer.data !== undefined) || undefined}>
        <h2 className={classes.title}>{t("play.answer")}</h2>
        {answer.error && <Failure error={answer.error} retry={send} />}
        {answer.data && (
          <>
            <Answer prediction={answer.data.prediction} labels={known.labels} />
            <p className={classes.help} style={{ marginTop: "auto" }}>
              {t("play.took", {
                model: `${answer.data.prediction.model_name}/${answer.data.prediction.model_version ?? ""}`,
                took: Number(answer.data.prediction.parameters?.took_ms ?? 0).toFixed(1),
                trip: answer.data.roundTrip.toFixed(0),
              })}
            </p>
          </>
        )}
        {!answer.data && !answer.error && <p className={classes.help}>{answer.isPending ? t("common:loading") : t(`play.before.${way}`)}</p>}
      </section>
    </div>
  );
}

interface PixelsProps {
  way: Way;
  signature: Signature;
  most: number | null;
  onQuestion: (question: Question | null) => void;
}

/** Drawings and pictures, and how their pixels become numbers. */
function Pixels({ way, signature, most, onQuestion }: PixelsProps) {
  const { t } = useTranslation("endpoints");
  const tensor = signature.inputs[0]!;
  const found = imageOf(signature)!;
  const [size, setSize] = useState<{ width: number; height: number } | null>(null);
  const shape: ImageShape = found.open && size ? { ...found, ...size } : found;
  const guess = guessRange(tensor, shape, most);
  const [chosen, setChosen] = useUrlState("range");
  const range: Range = RANGES.find((one) => one === chosen) ?? guess;
  const [inverted, setInverted] = useUrlState("invert");
  const [planes, setPlanes] = useState<Planes | null>(null);
  const fits = planes && planes.width === shape.width && planes.height === shape.height;
  const text = JSON.stringify(fits ? { inputs: [inputOf(tensor, shape, planes, range, inverted === "1")] } : null);
  const told = useRef(onQuestion);
  useEffect(() => {
    told.current = onQuestion;
  });
  useEffect(() => told.current(JSON.parse(text) as Question | null), [text]);
  return (
    <>
      {way === "draw" ? (
        <DrawPad image={shape} invert={inverted === "1"} onImage={setPlanes} />
      ) : (
        <ImageInput image={shape} invert={inverted === "1"} onSize={setSize} onImage={setPlanes} />
      )}
      <div className={classes.options} data-late>
        <Select
          label={t("pixels.range")}
          data={RANGES.filter((one) => one !== "imagenet" || shape.channels === 3).map((one) => ({
            value: one,
            label: one === guess ? t("pixels.likely", { range: t(`pixels.ranges.${one}`) }) : t(`pixels.ranges.${one}`),
          }))}
          value={range}
          onChange={(value) => value && setChosen(value === guess ? "" : value)}
          allowDeselect={false}
          w={200}
        />
        <Switch
          label={t("pixels.invert")}
          checked={inverted === "1"}
          onChange={(event) => setInverted(event.currentTarget.checked ? "1" : "")}
          mb={6}
        />
      </div>
    </>
  );
}
