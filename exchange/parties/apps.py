from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PartiesConfig(AppConfig):
    name = "exchange.parties"
    label = "parties"
    verbose_name = "Parties"

    def ready(self) -> None:
        from exchange.parties import days

        post_migrate.connect(days.seed_after_migrate, sender=self, dispatch_uid="parties.days")
