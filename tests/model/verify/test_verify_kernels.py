"""What took an interpreter's process down when mutated models were fed to it."""

from __future__ import annotations

import model_builders as builders
import pytest
from ai_edge_litert import schema_py_generated as schema
from bending import assign, refused

from pytest_tflm.errors import DamagedModel
from pytest_tflm.model import model_from_bytes
from pytest_tflm.model.verify.kernels import COMPARISONS, FEWEST_INPUTS, OPTIONAL_INPUTS, RANKS
from pytest_tflm.model.verify.structure import SUBGRAPH_FIELDS


class TestKernels:
    def test_input_left_out(self) -> None:
        path = "subgraphs[0].operators[0].inputs"
        refused(builders.identity("int32"), assign(path, [0, -1]), "RESHAPE", "lacks an input")

    def test_too_few_inputs_or_outputs(self) -> None:
        operator = "subgraphs[0].operators[0]"
        refused(builders.add_int8(), assign(f"{operator}.inputs", [0]), "ADD has 1 inputs", "2")
        refused(builders.add_int8(), assign(f"{operator}.outputs", []), "ADD has no output")

    def test_operators_in_the_tables_exist(self) -> None:
        """A misspelt name would check nothing."""
        names = {*OPTIONAL_INPUTS, *FEWEST_INPUTS, *RANKS, *COMPARISONS}
        assert names <= vars(schema.BuiltinOperator).keys()
        members = {*vars(schema.BuiltinOptions), *vars(schema.BuiltinOptions2)}
        assert SUBGRAPH_FIELDS.keys() <= members
        for name, fields in SUBGRAPH_FIELDS.items():
            for field in fields:
                assert hasattr(getattr(schema, name), field)

    @pytest.mark.parametrize("scale", [1e-44, 1e37, 0.0])
    @pytest.mark.parametrize("tensor", [0, 1, 2])
    def test_scales_of_a_sum(self, tensor: int, scale: float) -> None:
        if tensor < 2 and scale == 1e-44:
            return  # a tiny input is only lost beside the other
        path = f"subgraphs[0].tensors[{tensor}].quantization.scale"
        refused(builders.add_int8(), assign(path, [scale]), "ADD of int8 has the scales")

    def test_sum_without_scales(self) -> None:
        path = "subgraphs[0].tensors[0].quantization"
        refused(builders.add_int8(), assign(path, None), "ADD of int8 has the scales 0 and")

    @pytest.mark.parametrize("shape", [[1, 108], [6, 6, 3], [1, 1, 6, 6, 3]])
    def test_rank_of_an_image(self, shape: list[int]) -> None:
        path = "subgraphs[0].tensors[0].shape"
        refused(builders.conv_2d(), assign(path, shape), "CONV_2D", "dimensions, but needs 4")

    def test_scale_of_a_comparison(self) -> None:
        def model(scale: float | None) -> bytes:
            g = builders.Graph()
            a = g.tensor("a", (1, 4), "int8", 0.5)
            b = g.tensor("b", (1, 4), "int8", scale)
            y = g.tensor("y", (1, 4), "bool")
            g.operator("GREATER", (a, b), (y,), "GreaterOptions")
            return g.finish((a, b), (y,))

        model_from_bytes(model(0.9))
        for scale in (None, 1.0):
            with pytest.raises(DamagedModel, match="GREATER of int8 has the scale"):
                model_from_bytes(model(scale))
