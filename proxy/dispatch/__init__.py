"""From a request to the candidate that serves it, and back with the answer.

* `catalogue`: names → candidates (`suffix`: effort in a name). `snapshot`: what a request needs of the configuration.
* `policy`: who is next, a pure function over the pool's state. `decision`: its result, and the words for it.
* `verdict`: what a failure means, a table (`resets`: for how long). `lessons`: puts it into the pool.
* `budget`: how much may be tried again. `shared`: what all inquiries of a process share.
* `failover`: the `Dispatcher`; `pursuit`: one inquiry's attempts; `attempt`: one try; `body`: what the server reads.
* `plan`: which way a candidate is asked. `relay`: same wire. `translate`: another. `passage`: what the two share.
* `recall`: signed thoughts kept for clients that cannot carry them. `payload`: the operator's rules. `refusal`: nobody.

Decide, then act: nothing awaits between `decide` and `commit`. The commit point is the first content: before it a
failure is another candidate's chance, after it the client is told, in its own dialect.
"""
