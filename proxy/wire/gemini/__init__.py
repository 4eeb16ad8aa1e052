"""Gemini generateContent, and the Code Assist envelope around it."""
