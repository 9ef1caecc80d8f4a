"""Which container needs which: heal what is needed first, and hold those that need it."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q

from healing.core.dependencies import OnReturn, Origin, cycle, in_words
from healing.models.choices import choices
from healing.models.fleet import Container


class Dependency(models.Model):
    """One container (`dependant`) needs another (`dependency`)."""

    dependant = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="dependencies")
    dependency = models.ForeignKey(Container, on_delete=models.CASCADE, related_name="dependants")
    on_return = models.CharField(max_length=10, choices=choices(OnReturn), default=OnReturn.HOLD.value)
    origin = models.CharField(
        max_length=10, choices=choices(Origin), default=Origin.MANUAL.value, editable=False
    )
    is_job = models.BooleanField(
        default=False, help_text="The dependency has to have ended well once; stopped, it holds nobody."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["dependant_id", "dependency_id"]
        verbose_name_plural = "dependencies"
        constraints = [
            models.UniqueConstraint(fields=["dependant", "dependency"], name="dependency_identity"),
            models.CheckConstraint(condition=~Q(dependant=F("dependency")), name="needs_not_itself"),
        ]

    def __str__(self) -> str:
        return f"{self.dependant} needs {self.dependency}"

    def clean(self) -> None:
        """Raise ValidationError for a container that would come to need itself, with the way round."""
        new = (self.dependant_id, self.dependency_id)
        if not all(new):
            return
        others = Dependency.objects.exclude(pk=self.pk).values_list("dependant_id", "dependency_id")
        path = cycle(others, new)
        if path:
            names = dict(Container.objects.filter(pk__in=path).values_list("pk", "name"))
            raise ValidationError(
                f"This closes a cycle: {in_words(path, names)}. Leave it out, or remove one of the others."
            )
