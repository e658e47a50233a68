"""How the Bubble app is named in the environment, and what simulates it."""

from sync_pipeline.model.source_settings import SimulatedApi, SourceSettings
from sync_pipeline.settings import Variable

URL = Variable(
    "BUBBLE_API_URL",
    "root of the Bubble app's Data API",
    "https://app.example.com/version-live/api/1.1",
)
TOKEN = Variable("BUBBLE_API_TOKEN", "an API token of the app", secret=True)
REQUESTS_PER_MINUTE = Variable(
    "BUBBLE_REQUESTS_PER_MINUTE",
    "requests a minute, of the app's limit, that this project may use",
    default=900,
    optional=True,
)

SOURCE = SourceSettings(
    (URL, TOKEN, REQUESTS_PER_MINUTE),
    api=SimulatedApi(
        "Bubble app", "sync_pipeline.simulators.bubble", {URL.name: "url", TOKEN.name: "token"}
    ),
)
