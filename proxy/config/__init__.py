"""Configuration, from config.yaml to one immutable value and back.

* **setting**: name, type, default and a sentence, once (`settings`, `schema`, `provider_keys`, `payload`, `checks`).
* **node**: a piece of YAML that knows its place (`nodes`). Settings are read off nodes (`reader`), so that every
  **complaint** has its line and all come at once (`complaints`, `load`).
* **foreign** key: one of the well-known system that is none of ours, with a sentence why (`foreign`).
* **reload**: look, build beside, swap, or keep the old one and say why (`reload`, `watch`).
* **edit**: a change that leaves every other line alone (`edit`, `splice`, `writing`), written whole or not (`store`).

Generated from the settings: config.yaml (`sample`), its JSON Schema (`json_schema`), and the masked view (`show`).
"""
