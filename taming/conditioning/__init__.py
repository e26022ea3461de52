"""What a transformer is told: a start token, class labels, context vectors."""

from .condition import Condition, get_condition
from .config import ConditionConfig

__all__ = ["Condition", "ConditionConfig", "get_condition"]
