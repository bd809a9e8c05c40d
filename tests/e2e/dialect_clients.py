"""A program that asks an endpoint with the clients of KServe and MLflow, as they are on PyPI."""

PROGRAM = """
import asyncio, functools, json, sys
import numpy as np
import pandas as pd
import requests
from kserve.inference_client import InferenceRESTClient, RESTConfig
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

url, token, path = sys.argv[1:]
x = np.load(path)
headers = {"Authorization": "Bearer " + token}
found = {"live_models": requests.get(url + "/v1/models", headers=headers).json()["models"]}


async def ask_kserve():
    client = InferenceRESTClient(RESTConfig(protocol="v1", retries=0))
    found["ready"] = await client.is_model_ready(url, "digits-lr", headers=headers)
    answer = await client.infer(url, {"instances": x.tolist()}, model_name="digits-lr", headers=headers)
    found["kserve"] = answer["predictions"]
    await client.close()


asyncio.run(ask_kserve())


class Session(requests.sessions.Session):
    # MLflow's client has no place for a token.
    def request(self, method, url, headers=None, **more):
        given = {"Authorization": "Bearer " + token, **(headers or {})}
        return super().request(method, url, headers=given, **more)


requests.sessions.Session = Session
client = ScoringServerClient("unused", 0)
client.url_prefix = url
client.ping()
found["pinged"] = client.get_version() != ""
names = ["pixel_%d" % n for n in range(64)]
frame = pd.DataFrame(x, columns=names)
found["mlflow_frame"] = client.invoke(frame)["predictions"]
found["mlflow_array"] = client.invoke(x, params={"temperature": 1})["predictions"]
try:
    client.invoke(frame.drop(columns="pixel_0").rename(columns=str.upper))
except Exception as error:
    found["mlflow_error"] = str(error)
print(json.dumps(found))
"""
