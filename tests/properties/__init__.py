import pytest

pytest.register_assert_rewrite(f"{__name__}.wire_answers")
