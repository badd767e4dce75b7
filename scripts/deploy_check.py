"""What the schemas cannot say about the deploy files: that their names and numbers agree.

    deploy_check.py compose FILE      checks docker-compose.yml
    deploy_check.py render FILE       checks render.yaml
    deploy_check.py k8s FOLDER        checks a kustomization and prints its objects as YAML
"""

import pathlib
import re
import shutil
import subprocess
import sys

import yaml

REQUIRED = {
    "DATABASE_URL", "REDIS_URL", "AUTH0_DOMAIN", "AUTH0_AUDIENCE", "DEEPGRAM_API_KEY",
    "OPENAI_API_KEY", "DEEPSEEK_API_KEY", "JWT_SECRET_KEY", "SECRET_KEY",
}


def unknown(names):
    """Those names that the service's table of variables does not have."""
    table = pathlib.Path("src/config/variables.rs").read_text()
    return sorted(set(names) - set(re.findall(r"^ +([A-Z][A-Z0-9_]+) = \"", table, re.MULTILINE)))


def check_compose(path):
    for name, service in yaml.safe_load(pathlib.Path(path).read_text())["services"].items():
        if service.get("build", {}).get("target") == "service":
            strangers = unknown(service["environment"])
            yield not strangers, f"{name} sets variables the service does not know: {strangers}"


def check_render(path):
    blueprint = yaml.safe_load(pathlib.Path(path).read_text())
    services, databases = blueprint["services"], blueprint["databases"]
    names = {(service["type"], service["name"]) for service in services}
    yield len({part["region"] for part in services + databases}) == 1, "all parts are in one region"
    for service in services:
        if service["type"] != "web":
            continue
        variables = {variable["key"]: variable for variable in service["envVars"]}
        yield len(variables) == len(service["envVars"]), "no variable is given twice"
        yield REQUIRED <= variables.keys(), f"missing: {sorted(REQUIRED - variables.keys())}"
        yield not unknown(variables), f"the service does not know {unknown(variables)}"
        drain = int(variables["DRAIN_SECONDS"]["value"])
        yield drain + 5 <= service["maxShutdownDelaySeconds"], "the drain fits the shutdown delay"
        migrates = "migrate" in service.get("preDeployCommand", "")
        at_start = variables.get("MIGRATE_ON_START", {}).get("value") != "false"
        yield migrates != at_start, "migrations run once: before the deploy or at the start"
        for variable in variables.values():
            if source := variable.get("fromService"):
                yield (source["type"], source["name"]) in names, f"{source['name']} exists"
            if source := variable.get("fromDatabase"):
                known = {database["name"] for database in databases}
                yield source["name"] in known, f"{source['name']} exists"


def built(folder):
    """The objects as kubectl builds them; without kubectl, as the files name them."""
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize", str(folder)]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    else:
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        text = "\n---\n".join((folder / name).read_text() for name in kustomization["resources"])
    print(text)
    return [item for item in yaml.safe_load_all(text) if item]


def check_k8s(folder):
    objects = built(pathlib.Path(folder))
    by_kind = {item["kind"]: item for item in objects}
    secret = yaml.safe_load((pathlib.Path(folder) / "secret.example.yaml").read_text())
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    (service,) = pod["containers"]
    config = by_kind["ConfigMap"]
    grace = pod["terminationGracePeriodSeconds"]
    needed = int(config["data"]["DRAIN_SECONDS"]) + service["lifecycle"]["preStop"]["sleep"]["seconds"]
    yield grace >= needed + 5, f"grace {grace} s covers preStop and drain, {needed} s"
    given = config["data"].keys() | secret["stringData"].keys()
    yield REQUIRED <= given, f"missing: {sorted(REQUIRED - given)}"
    yield not unknown(given), f"the service does not know {unknown(given)}"
    for probe, path in {"livenessProbe": "/health", "readinessProbe": "/ready"}.items():
        asked = service.get(probe, {}).get("httpGet", {}).get("path")
        yield asked == path, f"{probe} asks {path}"
    for kind in ("Deployment", "Job"):
        (container,) = by_kind[kind]["spec"]["template"]["spec"]["containers"]
        refs = {ref["name"] for source in container["envFrom"] for ref in source.values()}
        yield refs == {config["metadata"]["name"], secret["metadata"]["name"]}, f"{kind} reads both maps"
    selector = by_kind["Service"]["spec"]["selector"].items()
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    yield selector <= labels, "the Service selects the Deployment's pods"


def main():
    checks = {"compose": check_compose, "render": check_render, "k8s": check_k8s}
    if len(sys.argv) != 3 or sys.argv[1] not in checks:
        sys.exit(__doc__)
    faults = [fault for holds, fault in checks[sys.argv[1]](sys.argv[2]) if not holds]
    for fault in faults:
        print(f"{sys.argv[2]}: does not hold: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
