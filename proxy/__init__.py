"""One pool for all AI accounts, in front of every client.

The nouns, one word per thing:

* **wire**: a JSON format that is spoken: ``openai_chat``, ``openai_responses``, ``anthropic``, ``gemini``.
* **hub**: our own vendor-neutral vocabulary of requests, parts and events, between the wires.
* **provider**: whom we speak to: endpoint, one wire, headers, quirks, error classification, catalogue.
* **credential**: one account or key, as an immutable value.
* **home**: the private folder in which an official CLI keeps one account's login.
* **executor**: how an attempt is carried out: ``http`` or ``cli``.
* **candidate**: provider + credential + upstream model, able to serve a request.
* **attempt**: one try with one candidate; **exchange**: one client request and all its attempts.
* **verdict**: what an outcome means: action, scope, cooldown, why.
* **decision**: why this candidate and not the others.
* **relay**: same wire in and out; the client's own JSON goes upstream, frames come back untouched.
* **loss**: something a translation could not carry.
* **commit point**: the first byte of the answer's content sent to the client; after it no failover.

The path of a request is the list of folders: ``server → wire → hub → dispatch → providers → upstream``, and back.
"""

__version__ = "0.1.0"
