from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0004_versions'),
        ('catalog', '0007_sources'),
    ]

    operations = [
        migrations.AddConstraint(
            model_name='product',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'listed'), _negated=True), ('version__gt', 0), _connector='OR'), name='listed_has_a_live_version'),
        ),
    ]
