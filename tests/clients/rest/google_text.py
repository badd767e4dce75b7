"""google-cloud-translate (PyPI): v2 and v3 with a service account."""

from google.api_core.exceptions import BadRequest
from google.cloud import translate_v2, translate_v3
from google.oauth2 import service_account

import checks

TEXT = "The doctor's day."
SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]
ACCOUNT = checks.setting("SDK_ACCOUNT")
credentials = service_account.Credentials.from_service_account_info(ACCOUNT, scopes=SCOPES)
old = translate_v2.Client(credentials=credentials, client_options={"api_endpoint": checks.URL})
told = old.translate(TEXT, target_language="it", format_="text")
checks.check("v2 text", told["translatedText"] == TEXT.upper(), told)
checks.check("v2 detected", told["detectedSourceLanguage"] == "en", told)
told = old.translate(TEXT, target_language="it")
checks.check("v2 html", told["translatedText"] == TEXT.upper().replace("'", "&#39;"), told)
checks.refused("v2 bad target", BadRequest, lambda: old.translate(TEXT, target_language="x"))
host = checks.URL.removeprefix("http://")
session = translate_v3.services.translation_service.transports.TranslationServiceRestTransport(
    host=host, credentials=credentials, url_scheme="http", always_use_jwt_access=False
)
new = translate_v3.TranslationServiceClient(transport=session)
parent = f"projects/{ACCOUNT['project_id']}/locations/global"


def translate(target):
    request = {"parent": parent, "contents": [TEXT], "target_language_code": target}
    return new.translate_text(request={**request, "mime_type": "text/plain"})


told = translate("it").translations[0]
checks.check("v3 text", told.translated_text == TEXT.upper(), told)
checks.check("v3 detected", told.detected_language_code == "en", told)
checks.refused("v3 bad target", BadRequest, lambda: translate("x"))
checks.finish()
