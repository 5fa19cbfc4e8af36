"""What services of routes do where two change one thing at once."""

import pytest

from mes.errors import ExecutionConfigNotFound
from mes.routing import services
from mes.routing.models import ConfigScope, RouteExecutionConfig


def test_a_config_that_was_deleted_meanwhile_is_named(db: None) -> None:
    config = RouteExecutionConfig.objects.create(scope=ConfigScope.GLOBAL, retest_limit=1)
    RouteExecutionConfig.objects.all().delete()
    with pytest.raises(ExecutionConfigNotFound):
        services.update_config(config, values={"retest_limit": 2})
