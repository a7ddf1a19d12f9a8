"""codemeta.json (https://codemeta.github.io, version 3) from pyproject.toml and CITATION.cff."""

import json
import tomllib
from pathlib import Path

import yaml


def codemeta(root: Path) -> str:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    (paper,) = citation["references"]
    described = {
        "@context": "https://w3id.org/codemeta/3.0",
        "@type": "SoftwareSourceCode",
        "name": project["name"],
        "description": project["description"],
        "version": project["version"],
        "license": f"https://spdx.org/licenses/{project['license']}",
        "keywords": project["keywords"],
        "author": [{"@type": "Organization", "name": author["name"]} for author in citation["authors"]],
        "programmingLanguage": ["Python", "Snakemake"],
        "runtimePlatform": f"Python {project['requires-python']}",
        "operatingSystem": ["Linux", "macOS"],
        "softwareRequirements": project["dependencies"],
        "readme": project["readme"],
        "referencePublication": {
            "@type": "ScholarlyArticle",
            "name": paper["title"],
            "author": [
                {"@type": "Person", "familyName": author["family-names"], "givenName": author["given-names"]}
                for author in paper["authors"]
            ],
            "datePublished": str(paper["year"]),
            "identifier": paper["identifiers"][0]["value"],
        },
    }
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"
