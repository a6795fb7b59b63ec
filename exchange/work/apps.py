from django.apps import AppConfig


class WorkConfig(AppConfig):
    name = "exchange.work"
    label = "work"
    verbose_name = "Work"
