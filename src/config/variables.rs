//! Every environment variable, declared once: name, default, and what it does.

/// One environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What stands when it is unset; empty where there is no default.
    pub default: &'static str,
    /// Which part of the service it is for.
    pub group: &'static str,
    /// What it does and which values are allowed.
    pub sentence: &'static str,
}

macro_rules! variables {
    ($($group:literal { $($name:ident = $default:literal, $sentence:literal;)* })*) => {
        $($(
            #[doc = $sentence]
            pub(super) const $name: Variable = Variable {
                name: stringify!($name),
                default: $default,
                group: $group,
                sentence: $sentence,
            };
        )*)*
        /// Every variable, in the order of the documentation.
        pub const VARIABLES: &[Variable] = &[$($($name),*),*];
    };
}

variables! {
    "Environment" {
        ENVIRONMENT = "development", "Where this runs: `development`, `dev`, `local`, `test`, `testing`, `production` or `prod`; unset on Render or Kubernetes it means production.";
        FLASK_ENV = "", "The older name of `ENVIRONMENT`; if either says production, production it is.";
        RENDER = "", "Set by Render; its presence means production where the environment is not named.";
        KUBERNETES_SERVICE_HOST = "", "Set by Kubernetes; its presence means production where the environment is not named.";
    }
    "Server" {
        PORT = "5000", "TCP port of the service on every interface; `0` takes any free one.";
        METRICS_PORT = "9090", "TCP port of `/metrics`; `0` takes any free one, `off` opens none.";
        REPLICA_PORT = "0", "TCP port on which other replicas hand over requests of Socket.IO sessions that are held here; `0` takes any free one, `off` opens none; nothing is opened without a `SECRET_KEY`.";
        REPLICA_ADDRESS = "", "Where other replicas reach that port: a host name or an address, with a port where it is not `REPLICA_PORT`; the address of the default route's interface where unset.";
        DRAIN_SECONDS = "25", "How long a stopping replica may take to hand its sessions over, 0 to 3600; below the platform's own limit.";
        MAX_CONNECTIONS = "10000", "Open TCP connections of one replica, 1 to 1000000.";
        TRUSTED_PROXIES = "0", "Proxies in front of this service that append to `X-Forwarded-For`, 0 to 10; addresses beyond them are not believed.";
        EDGE_RATE = "100", "Requests a second that one client address may make, 1 to 1000000, before anything else is looked at.";
        EDGE_BURST = "1000", "Requests that one client address may make at once, 1 to 1000000.";
        CORS_ORIGINS = "http://localhost:3000,http://127.0.0.1:3000", "Origins of browsers that may call REST: `*` or a comma-separated list; a trailing slash is ignored.";
        SOCKETIO_ORIGINS = "", "Origins of browsers that may open a socket: `*` or a comma-separated list; as `CORS_ORIGINS` where unset.";
    }
    "Storage" {
        DATABASE_URL = "postgresql://postgres:postgres@localhost:5432/mydb", "Postgres; required in production.";
        DATABASE_POOL_SIZE = "5", "Connections to Postgres, 1 to 200.";
        MIGRATE_ON_START = "true", "Whether `serve` brings the schema up to date; with `false` it waits until `migrate` has.";
        REDIS_URL = "redis://127.0.0.1:6379", "Redis, with `rediss://`, `redis-cluster://` and `redis-sentinel://` too; required in production.";
        REDIS_PREFIX = "ata", "How every key and channel in Redis begins: 1 to 40 letters, digits, dashes, underscores or dots; services that share a Redis need different ones.";
    }
    "Authentication" {
        AUTH0_DOMAIN = "", "Domain of the Auth0 tenant, such as `acme.eu.auth0.com`; required in production.";
        AUTH0_AUDIENCE = "", "Identifier of this API in Auth0; required in production.";
        AUTH0_ISSUER_URL = "", "Issuer of the tokens where it is not `https://AUTH0_DOMAIN/`; https only in production.";
        AUTH0_REQUEST_TIMEOUT = "30", "Seconds that a call of Auth0's userinfo may take, 1 to 120.";
        API_KEY = "", "One static key that acts as the system user; optional.";
        JWT_SECRET_KEY = "", "Signs the tokens of `/auth/login`; required in production.";
        JWT_SECRET_KEY_PREVIOUS = "", "The former `JWT_SECRET_KEY`, still accepted while it is being rotated.";
        SECRET_KEY = "", "What keys of the replicas among themselves are derived from; required in production.";
        SECRET_KEY_PREVIOUS = "", "The former `SECRET_KEY`, still accepted while it is being rotated.";
        ALLOW_INSECURE_SESSION_AUTH = "false", "Whether `/mobile-auth` hands out sessions without a password; refused in production.";
    }
    "Limits" {
        LIMIT_REQUESTS = "100", "REST requests of one user a minute: a number or `unlimited`, then exceptions by plan, such as `100,pro=300,legacy=unlimited`.";
        LIMIT_TRANSCRIPTIONS = "10,legacy=unlimited", "Transcriptions of one user a minute, in the same form.";
        LIMIT_SOCKET_OPENS = "60,legacy=unlimited", "Sockets that one user may open a minute, in the same form.";
        LIMIT_OPEN_SOCKETS = "200,legacy=unlimited", "Sockets that one user may have open at once on one replica, in the same form.";
        LIMIT_SHARE_SOCKETS = "1000", "Sockets that may be open at once on one replica by one share token: a number or `unlimited`.";
        LIMIT_LIVE_SESSIONS = "1,pro=5,enterprise=50,legacy=unlimited", "Live sessions of one user at once, in the same form.";
        LIMIT_LIVE_SESSIONS_TOTAL = "unlimited", "Live sessions of all users on all replicas at once: a number or `unlimited`.";
        LIMIT_LOGINS = "5", "Attempts to log in a minute, for each account and for each client address: a number or `unlimited`.";
        LIMIT_REGISTRATIONS = "5", "Accounts that one client address may register a minute: a number or `unlimited`.";
        LIMIT_REFRESHES = "30", "Tokens that one client address may refresh or revoke a minute: a number or `unlimited`.";
    }
    "Live transcription" {
        LIVE_PROVIDER = "auto", "Who transcribes live audio: `deepgram`, `assemblyai`, `local` (the embedded engine), or `auto`, which is Deepgram where there is a key.";
        LIVE_FALLBACKS = "", "Who goes on where that provider fails, has no stream left or cannot have the audio: a comma-separated list of `deepgram`, `assemblyai` and `local`, in this order; each needs its key, nobody is named twice.";
        LIVE_MAX_SESSIONS = "1000", "Live sessions of one replica, 1 to 1000000.";
        DEEPGRAM_API_KEY = "", "Key of the Deepgram project; required in production.";
        DEEPGRAM_BASE_URL = "https://api.deepgram.com", "Where Deepgram is; the live address is derived from it.";
        DEEPGRAM_MODEL = "nova-2", "Deepgram's model where the client asks for none.";
        DEEPGRAM_MAX_STREAMS = "0", "Streams that the Deepgram project allows at once, 0 to 1000000; `0` leaves it to Deepgram.";
        ASR_MODEL_DIR = ".dev/speech-model", "Folder of the embedded engine's model.";
        ASR_WORKERS = "", "Decoding threads of the embedded engine, 1 to 256; as the cores allow where unset.";
        ASR_MAX_STREAMS = "", "Live streams of the embedded engine, 1 to 10000; as the cores allow where unset.";
        LIVE_IDLE_SECONDS = "60", "Silence on the wire after which a session's connection to its provider is let go, 5 to 3600 seconds; the next audio opens another.";
        USAGE_CHECKPOINT_SECONDS = "5", "How often a live session's usage is written, 1 to 300 seconds.";
        USAGE_SCRATCH_DIR = "", "Folder for usage that neither Postgres nor Redis takes, of this replica's own or shared on one machine; `audio-transcription-api` in the system's temporary folder where unset, `off` for none.";
        TRANSCRIPT_RETENTION_DAYS = "30", "How long the transcript of a session that asked for `store` is kept after its end, 0 to 36500 days; `0` keeps it until it is deleted.";
    }
    "Rooms" {
        ROOM_HISTORY_SECONDS = "86400", "How long a room's finals are kept after the last one, 60 to 2592000 seconds.";
    }
    "Recorded audio" {
        MAX_UPLOAD_MB = "2048", "Largest upload, 1 to 16384, in MiB; videos have 100 MiB of their own.";
        UPLOAD_SECONDS = "1800", "How long an upload may take, 1 to 86400.";
        UPLOAD_DIR = "", "Folder for uploads while they are worked on; `audio-transcription-api` in the system's temporary folder where unset.";
        UPLOAD_SPACE_MB = "16384", "What uploads may take of that folder at once, 1 to 16777216, in MiB; what finds no room is refused.";
        TRANSCRIPTION_SECONDS = "1800", "How long a recording may take to be transcribed, 1 to 86400; answered 504 after it.";
        TRANSCRIPTION_PARALLEL = "64", "Recordings that one replica transcribes at once, 1 to 10000; more wait half a minute, and are refused then.";
        TRANSCRIPTION_ORDER = "deepgram,whisper,assemblyai,local", "Who is asked for `provider=auto`, in this order, as far as they are there: a comma-separated list.";
        AUDIO_URL_PORTS = "80,443,8080,8443", "Ports at which audio may be that callers name by its address: a comma-separated list.";
        AUDIO_URL_ALLOW = "", "Hosts of audio that callers may name though they are not everybody's, such as a store of one's own: `host:port`, comma-separated.";
        DUPLICATE_SECONDS = "0", "How long what was heard of a recording is kept in Redis for its account, which may send it again, 0 to 2592000; `0` keeps nothing.";
        DUPLICATE_BILLED = "false", "Whether a recording that is answered from there costs what it did; it costs nothing where `false`.";
    }
    "Other providers" {
        OPENAI_API_KEY = "", "Key of the OpenAI account; required in production.";
        OPENAI_MODEL = "gpt-4o-mini", "OpenAI's model for translation.";
        OPENAI_TRANSCRIPTION_MODEL = "whisper-1", "OpenAI's model for recordings where the caller names none; only `whisper-1` tells the times of words.";
        OPENAI_BASE_URL = "https://api.openai.com/v1", "Where OpenAI is, with `/v1`.";
        MODEL_ALIASES = "deepseek-chat=deepseek-flash,deepseek-reasoner=deepseek-flash", "What old names of models stand for: `old=new`, comma-separated.";
        MODEL_RETIREMENTS = "gpt-4o=2027-01-14,gpt-4o-mini=2027-01-14,gpt-4.1=2027-01-14,gpt-4.1-mini=2027-01-14,whisper-1=2027-02-26,gpt-4o-transcribe=2027-02-26,gpt-4o-mini-transcribe=2027-02-26,gpt-4o-transcribe-diarize=2027-02-26", "When providers stop to serve a model: `model=YYYY-MM-DD`, comma-separated; logged at boot from 60 days before, where the model is asked for.";
        ASSEMBLYAI_API_KEY = "", "Key of the AssemblyAI account; optional.";
        ASSEMBLYAI_BASE_URL = "https://api.assemblyai.com", "Where AssemblyAI is.";
        ASSEMBLYAI_STREAMING_URL = "https://streaming.assemblyai.com", "Where AssemblyAI hears live audio; the WebSocket's address is derived from it.";
        DEEPSEEK_API_KEY = "", "Key of the DeepSeek account; required in production.";
        DEEPSEEK_BASE_URL = "https://api.deepseek.com", "Where DeepSeek is.";
        DEEPSEEK_MODEL = "deepseek-flash", "DeepSeek's model for translation.";
        GOOGLE_APPLICATION_CREDENTIALS = "", "File with the Google service account; optional.";
        GOOGLE_TRANSLATE_BASE_URL = "https://translation.googleapis.com", "Where Google Translate is.";
        GOOGLE_TRANSLATE_VERSION = "v2", "Edition of Google Translate: `v2` (Basic) or `v3` (Advanced).";
        GOOGLE_SHEETS_BASE_URL = "https://sheets.googleapis.com", "Where Google Sheets is.";
        MAKE_WEBHOOK_URL = "", "Webhook that receives translations; optional.";
        MAKE_WEBHOOK_DEV_URL = "", "Webhook that receives translations marked as development; optional.";
        MAKE_WEBHOOK_SECRET = "", "Signs what webhooks receive, as Standard Webhooks has it; not signed where unset.";
        TRANSLATION_SECONDS = "600", "How long a translation may take, 1 to 86400; answered 504 after it.";
    }
    "Telemetry" {
        LOG_LEVEL = "INFO", "Least severe line that is logged: `DEBUG`, `INFO`, `WARNING` or `ERROR`, in any case.";
        LOG_FORMAT = "text", "`text` or `json`.";
        OTEL_EXPORTER_OTLP_ENDPOINT = "", "OTLP collector (HTTP, protobuf); traces go to its `/v1/traces`.";
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT = "", "OTLP address of traces, taken as it is.";
        OTEL_EXPORTER_OTLP_HEADERS = "", "Headers for the collector: `name=value`, comma-separated.";
        OTEL_SERVICE_NAME = "audio-transcription-api", "Name of this service in traces.";
        OTEL_TRACES_SAMPLER_ARG = "0.01", "Share of live sessions, and of calls of providers over REST, that are traced, 0 to 1.";
    }
}
