"""Who is qualified for which operation, and until when."""
