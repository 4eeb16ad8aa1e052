"""Configuration: every setting once (`schema`), YAML → Config or complaints (`load`), hot reload (`reload`), write-back
that keeps comments (`edit`).
"""
