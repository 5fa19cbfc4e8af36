"""Runs of before know that their first article failed, and none passed and was signed since."""

from django.db import migrations

NOTE = """
    UPDATE mes_run r SET is_first_article_failed = true
     WHERE id IN (SELECT run_id FROM execution_firstarticle f
                   WHERE f.status = 'FAILED'
                     AND NOT EXISTS (SELECT FROM execution_firstarticle signed
                                      WHERE signed.run_id = f.run_id AND signed.id > f.id
                                        AND signed.status = 'PASSED' AND signed.signed_at IS NOT NULL))
"""


class Migration(migrations.Migration):
    dependencies = [("execution", "0014_review_override"), ("mes", "0026_failed_first_articles")]

    operations = [migrations.RunSQL(NOTE, migrations.RunSQL.noop)]
