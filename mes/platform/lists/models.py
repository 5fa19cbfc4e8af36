"""Views of lists that people keep: which rows, columns and order they want to see again."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

LONGEST_QUERY = 2000


class SavedView(models.Model):
    """A view of a list under a name of its owner: the arguments of its address. A shared one is seen by all."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="saved_views",
        db_index=False,
        verbose_name=_("owner"),
    )
    list = models.CharField(_("list"), max_length=40)
    name = models.CharField(_("name"), max_length=100)
    query = models.CharField(_("arguments of the address"), max_length=LONGEST_QUERY, blank=True)
    shared = models.BooleanField(_("shared"), default=False, help_text=_("Then everybody sees it."))
    is_default = models.BooleanField(
        _("default"), default=False, help_text=_("Its owner's list begins with it, where the address asks for nothing.")
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)

    class Meta:
        ordering = ["list", "name", "id"]
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = [
            models.UniqueConstraint(fields=["owner", "list", "name"], name="saved_view_name_once"),
            models.UniqueConstraint(
                fields=["owner", "list"], condition=Q(is_default=True), name="saved_view_one_default"
            ),
        ]
        indexes = [models.Index(fields=["list", "name"], condition=Q(shared=True), name="saved_view_shared")]

    def __str__(self) -> str:
        return f"{self.list}: {self.name}"
