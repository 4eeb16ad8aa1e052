"""HTTP in front: who may (`access`), what is asked (`routes`), the answer as bytes (`stream`). No pool policy."""
