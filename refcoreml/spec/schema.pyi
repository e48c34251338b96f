"""Type stubs of the Core ML schema. Written by proto/compile.py; do not edit."""

from abc import ABCMeta
from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence
from typing import ClassVar, Literal, TypeVar, overload

from google.protobuf.descriptor import Descriptor, EnumDescriptor
from google.protobuf.message import Message

_M = TypeVar("_M", bound=Message)
_K = TypeVar("_K")

class _Messages(MutableSequence[_M], metaclass=ABCMeta):  # a repeated field of messages
    def add(self, **fields: object) -> _M: ...
    def MergeFrom(self, other: Iterable[_M]) -> None: ...

class _MessageMap(MutableMapping[_K, _M], metaclass=ABCMeta):  # a map field with messages as values
    def get_or_create(self, key: _K) -> _M: ...

class CoreMLModels:
    class AudioFeaturePrint(Message):
        DESCRIPTOR: Descriptor
        class Sound(Message):
            DESCRIPTOR: Descriptor
            class SoundVersion:
                DESCRIPTOR: ClassVar[EnumDescriptor]
                SOUND_VERSION_INVALID: ClassVar[int]
                SOUND_VERSION_1: ClassVar[int]
                @staticmethod
                def Name(number: int) -> str: ...
                @staticmethod
                def Value(name: str) -> int: ...
            SOUND_VERSION_INVALID: int
            SOUND_VERSION_1: int

            version: int
            def __init__(self, *, version: int = ...) -> None: ...

        @property
        def sound(self) -> CoreMLModels.AudioFeaturePrint.Sound: ...
        def __init__(self, *, sound: CoreMLModels.AudioFeaturePrint.Sound | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["AudioFeaturePrintType"]) -> Literal["sound"] | None: ...

    class Gazetteer(Message):
        DESCRIPTOR: Descriptor
        revision: int
        language: str
        modelParameterData: bytes
        @property
        def stringClassLabels(self) -> StringVector: ...
        def __init__(self, *, revision: int = ..., language: str = ..., modelParameterData: bytes = ..., stringClassLabels: StringVector | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["ClassLabels"]) -> Literal["stringClassLabels"] | None: ...

    class VisionFeaturePrint(Message):
        DESCRIPTOR: Descriptor
        class Scene(Message):
            DESCRIPTOR: Descriptor
            class SceneVersion:
                DESCRIPTOR: ClassVar[EnumDescriptor]
                SCENE_VERSION_INVALID: ClassVar[int]
                SCENE_VERSION_1: ClassVar[int]
                SCENE_VERSION_2: ClassVar[int]
                @staticmethod
                def Name(number: int) -> str: ...
                @staticmethod
                def Value(name: str) -> int: ...
            SCENE_VERSION_INVALID: int
            SCENE_VERSION_1: int
            SCENE_VERSION_2: int

            version: int
            def __init__(self, *, version: int = ...) -> None: ...

        class Objects(Message):
            DESCRIPTOR: Descriptor
            class ObjectsVersion:
                DESCRIPTOR: ClassVar[EnumDescriptor]
                OBJECTS_VERSION_INVALID: ClassVar[int]
                OBJECTS_VERSION_1: ClassVar[int]
                @staticmethod
                def Name(number: int) -> str: ...
                @staticmethod
                def Value(name: str) -> int: ...
            OBJECTS_VERSION_INVALID: int
            OBJECTS_VERSION_1: int

            version: int
            @property
            def output(self) -> MutableSequence[str]: ...
            def __init__(self, *, version: int = ..., output: Iterable[str] = ...) -> None: ...

        @property
        def scene(self) -> CoreMLModels.VisionFeaturePrint.Scene: ...
        @property
        def objects(self) -> CoreMLModels.VisionFeaturePrint.Objects: ...
        def __init__(self, *, scene: CoreMLModels.VisionFeaturePrint.Scene | None = ..., objects: CoreMLModels.VisionFeaturePrint.Objects | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["VisionFeaturePrintType"]) -> Literal["scene", "objects"] | None: ...

    class TextClassifier(Message):
        DESCRIPTOR: Descriptor
        revision: int
        language: str
        modelParameterData: bytes
        @property
        def stringClassLabels(self) -> StringVector: ...
        def __init__(self, *, revision: int = ..., language: str = ..., modelParameterData: bytes = ..., stringClassLabels: StringVector | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["ClassLabels"]) -> Literal["stringClassLabels"] | None: ...

    class WordTagger(Message):
        DESCRIPTOR: Descriptor
        revision: int
        language: str
        tokensOutputFeatureName: str
        tokenTagsOutputFeatureName: str
        tokenLocationsOutputFeatureName: str
        tokenLengthsOutputFeatureName: str
        modelParameterData: bytes
        @property
        def stringTags(self) -> StringVector: ...
        def __init__(self, *, revision: int = ..., language: str = ..., tokensOutputFeatureName: str = ..., tokenTagsOutputFeatureName: str = ..., tokenLocationsOutputFeatureName: str = ..., tokenLengthsOutputFeatureName: str = ..., modelParameterData: bytes = ..., stringTags: StringVector | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["Tags"]) -> Literal["stringTags"] | None: ...

    class WordEmbedding(Message):
        DESCRIPTOR: Descriptor
        revision: int
        language: str
        modelParameterData: bytes
        def __init__(self, *, revision: int = ..., language: str = ..., modelParameterData: bytes = ...) -> None: ...

    class SoundAnalysisPreprocessing(Message):
        DESCRIPTOR: Descriptor
        class Vggish(Message):
            DESCRIPTOR: Descriptor
            def __init__(self) -> None: ...

        @property
        def vggish(self) -> CoreMLModels.SoundAnalysisPreprocessing.Vggish: ...
        def __init__(self, *, vggish: CoreMLModels.SoundAnalysisPreprocessing.Vggish | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["SoundAnalysisPreprocessingType"]) -> Literal["vggish"] | None: ...

class MILSpec:
    class DataType:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        UNUSED_TYPE: ClassVar[int]
        BOOL: ClassVar[int]
        STRING: ClassVar[int]
        FLOAT8E4M3FN: ClassVar[int]
        FLOAT8E5M2: ClassVar[int]
        FLOAT16: ClassVar[int]
        FLOAT32: ClassVar[int]
        FLOAT64: ClassVar[int]
        BFLOAT16: ClassVar[int]
        INT8: ClassVar[int]
        INT16: ClassVar[int]
        INT32: ClassVar[int]
        INT64: ClassVar[int]
        INT4: ClassVar[int]
        UINT8: ClassVar[int]
        UINT16: ClassVar[int]
        UINT32: ClassVar[int]
        UINT64: ClassVar[int]
        UINT4: ClassVar[int]
        UINT2: ClassVar[int]
        UINT1: ClassVar[int]
        UINT6: ClassVar[int]
        UINT3: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    UNUSED_TYPE: int
    BOOL: int
    STRING: int
    FLOAT8E4M3FN: int
    FLOAT8E5M2: int
    FLOAT16: int
    FLOAT32: int
    FLOAT64: int
    BFLOAT16: int
    INT8: int
    INT16: int
    INT32: int
    INT64: int
    INT4: int
    UINT8: int
    UINT16: int
    UINT32: int
    UINT64: int
    UINT4: int
    UINT2: int
    UINT1: int
    UINT6: int
    UINT3: int

    class Program(Message):
        DESCRIPTOR: Descriptor
        version: int
        @property
        def functions(self) -> _MessageMap[str, MILSpec.Function]: ...
        docString: str
        @property
        def attributes(self) -> _MessageMap[str, MILSpec.Value]: ...
        def __init__(self, *, version: int = ..., functions: Mapping[str, MILSpec.Function] = ..., docString: str = ..., attributes: Mapping[str, MILSpec.Value] = ...) -> None: ...

    class Function(Message):
        DESCRIPTOR: Descriptor
        @property
        def inputs(self) -> _Messages[MILSpec.NamedValueType]: ...
        opset: str
        @property
        def block_specializations(self) -> _MessageMap[str, MILSpec.Block]: ...
        @property
        def attributes(self) -> _MessageMap[str, MILSpec.Value]: ...
        def __init__(self, *, inputs: Iterable[MILSpec.NamedValueType] = ..., opset: str = ..., block_specializations: Mapping[str, MILSpec.Block] = ..., attributes: Mapping[str, MILSpec.Value] = ...) -> None: ...

    class Block(Message):
        DESCRIPTOR: Descriptor
        @property
        def inputs(self) -> _Messages[MILSpec.NamedValueType]: ...
        @property
        def outputs(self) -> MutableSequence[str]: ...
        @property
        def operations(self) -> _Messages[MILSpec.Operation]: ...
        @property
        def attributes(self) -> _MessageMap[str, MILSpec.Value]: ...
        def __init__(self, *, inputs: Iterable[MILSpec.NamedValueType] = ..., outputs: Iterable[str] = ..., operations: Iterable[MILSpec.Operation] = ..., attributes: Mapping[str, MILSpec.Value] = ...) -> None: ...

    class Argument(Message):
        DESCRIPTOR: Descriptor
        class Binding(Message):
            DESCRIPTOR: Descriptor
            name: str
            @property
            def value(self) -> MILSpec.Value: ...
            def __init__(self, *, name: str = ..., value: MILSpec.Value | None = ...) -> None: ...
            def WhichOneof(self, oneof_group: Literal["binding"]) -> Literal["name", "value"] | None: ...

        @property
        def arguments(self) -> _Messages[MILSpec.Argument.Binding]: ...
        def __init__(self, *, arguments: Iterable[MILSpec.Argument.Binding] = ...) -> None: ...

    class Operation(Message):
        DESCRIPTOR: Descriptor
        type: str
        @property
        def inputs(self) -> _MessageMap[str, MILSpec.Argument]: ...
        @property
        def outputs(self) -> _Messages[MILSpec.NamedValueType]: ...
        @property
        def blocks(self) -> _Messages[MILSpec.Block]: ...
        @property
        def attributes(self) -> _MessageMap[str, MILSpec.Value]: ...
        def __init__(self, *, type: str = ..., inputs: Mapping[str, MILSpec.Argument] = ..., outputs: Iterable[MILSpec.NamedValueType] = ..., blocks: Iterable[MILSpec.Block] = ..., attributes: Mapping[str, MILSpec.Value] = ...) -> None: ...

    class NamedValueType(Message):
        DESCRIPTOR: Descriptor
        name: str
        @property
        def type(self) -> MILSpec.ValueType: ...
        def __init__(self, *, name: str = ..., type: MILSpec.ValueType | None = ...) -> None: ...

    class ValueType(Message):
        DESCRIPTOR: Descriptor
        @property
        def tensorType(self) -> MILSpec.TensorType: ...
        @property
        def listType(self) -> MILSpec.ListType: ...
        @property
        def tupleType(self) -> MILSpec.TupleType: ...
        @property
        def dictionaryType(self) -> MILSpec.DictionaryType: ...
        @property
        def stateType(self) -> MILSpec.StateType: ...
        def __init__(self, *, tensorType: MILSpec.TensorType | None = ..., listType: MILSpec.ListType | None = ..., tupleType: MILSpec.TupleType | None = ..., dictionaryType: MILSpec.DictionaryType | None = ..., stateType: MILSpec.StateType | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["type"]) -> Literal["tensorType", "listType", "tupleType", "dictionaryType", "stateType"] | None: ...

    class TensorType(Message):
        DESCRIPTOR: Descriptor
        dataType: int
        rank: int
        @property
        def dimensions(self) -> _Messages[MILSpec.Dimension]: ...
        @property
        def attributes(self) -> _MessageMap[str, MILSpec.Value]: ...
        def __init__(self, *, dataType: int = ..., rank: int = ..., dimensions: Iterable[MILSpec.Dimension] = ..., attributes: Mapping[str, MILSpec.Value] = ...) -> None: ...

    class TupleType(Message):
        DESCRIPTOR: Descriptor
        @property
        def types(self) -> _Messages[MILSpec.ValueType]: ...
        def __init__(self, *, types: Iterable[MILSpec.ValueType] = ...) -> None: ...

    class ListType(Message):
        DESCRIPTOR: Descriptor
        @property
        def type(self) -> MILSpec.ValueType: ...
        @property
        def length(self) -> MILSpec.Dimension: ...
        def __init__(self, *, type: MILSpec.ValueType | None = ..., length: MILSpec.Dimension | None = ...) -> None: ...

    class DictionaryType(Message):
        DESCRIPTOR: Descriptor
        @property
        def keyType(self) -> MILSpec.ValueType: ...
        @property
        def valueType(self) -> MILSpec.ValueType: ...
        def __init__(self, *, keyType: MILSpec.ValueType | None = ..., valueType: MILSpec.ValueType | None = ...) -> None: ...

    class StateType(Message):
        DESCRIPTOR: Descriptor
        @property
        def wrappedType(self) -> MILSpec.ValueType: ...
        def __init__(self, *, wrappedType: MILSpec.ValueType | None = ...) -> None: ...

    class Dimension(Message):
        DESCRIPTOR: Descriptor
        class ConstantDimension(Message):
            DESCRIPTOR: Descriptor
            size: int
            def __init__(self, *, size: int = ...) -> None: ...

        class UnknownDimension(Message):
            DESCRIPTOR: Descriptor
            variadic: bool
            def __init__(self, *, variadic: bool = ...) -> None: ...

        @property
        def constant(self) -> MILSpec.Dimension.ConstantDimension: ...
        @property
        def unknown(self) -> MILSpec.Dimension.UnknownDimension: ...
        def __init__(self, *, constant: MILSpec.Dimension.ConstantDimension | None = ..., unknown: MILSpec.Dimension.UnknownDimension | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["dimension"]) -> Literal["constant", "unknown"] | None: ...

    class Value(Message):
        DESCRIPTOR: Descriptor
        class ImmediateValue(Message):
            DESCRIPTOR: Descriptor
            @property
            def tensor(self) -> MILSpec.TensorValue: ...
            @property
            def tuple(self) -> MILSpec.TupleValue: ...
            @property
            def list(self) -> MILSpec.ListValue: ...
            @property
            def dictionary(self) -> MILSpec.DictionaryValue: ...
            def __init__(self, *, tensor: MILSpec.TensorValue | None = ..., tuple: MILSpec.TupleValue | None = ..., list: MILSpec.ListValue | None = ..., dictionary: MILSpec.DictionaryValue | None = ...) -> None: ...
            def WhichOneof(self, oneof_group: Literal["value"]) -> Literal["tensor", "tuple", "list", "dictionary"] | None: ...

        class BlobFileValue(Message):
            DESCRIPTOR: Descriptor
            fileName: str
            offset: int
            def __init__(self, *, fileName: str = ..., offset: int = ...) -> None: ...

        docString: str
        @property
        def type(self) -> MILSpec.ValueType: ...
        @property
        def immediateValue(self) -> MILSpec.Value.ImmediateValue: ...
        @property
        def blobFileValue(self) -> MILSpec.Value.BlobFileValue: ...
        def __init__(self, *, docString: str = ..., type: MILSpec.ValueType | None = ..., immediateValue: MILSpec.Value.ImmediateValue | None = ..., blobFileValue: MILSpec.Value.BlobFileValue | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["value"]) -> Literal["immediateValue", "blobFileValue"] | None: ...

    class TensorValue(Message):
        DESCRIPTOR: Descriptor
        class RepeatedFloats(Message):
            DESCRIPTOR: Descriptor
            @property
            def values(self) -> MutableSequence[float]: ...
            def __init__(self, *, values: Iterable[float] = ...) -> None: ...

        class RepeatedDoubles(Message):
            DESCRIPTOR: Descriptor
            @property
            def values(self) -> MutableSequence[float]: ...
            def __init__(self, *, values: Iterable[float] = ...) -> None: ...

        class RepeatedInts(Message):
            DESCRIPTOR: Descriptor
            @property
            def values(self) -> MutableSequence[int]: ...
            def __init__(self, *, values: Iterable[int] = ...) -> None: ...

        class RepeatedLongInts(Message):
            DESCRIPTOR: Descriptor
            @property
            def values(self) -> MutableSequence[int]: ...
            def __init__(self, *, values: Iterable[int] = ...) -> None: ...

        class RepeatedBools(Message):
            DESCRIPTOR: Descriptor
            @property
            def values(self) -> MutableSequence[bool]: ...
            def __init__(self, *, values: Iterable[bool] = ...) -> None: ...

        class RepeatedStrings(Message):
            DESCRIPTOR: Descriptor
            @property
            def values(self) -> MutableSequence[str]: ...
            def __init__(self, *, values: Iterable[str] = ...) -> None: ...

        class RepeatedBytes(Message):
            DESCRIPTOR: Descriptor
            values: bytes
            def __init__(self, *, values: bytes = ...) -> None: ...

        @property
        def floats(self) -> MILSpec.TensorValue.RepeatedFloats: ...
        @property
        def ints(self) -> MILSpec.TensorValue.RepeatedInts: ...
        @property
        def bools(self) -> MILSpec.TensorValue.RepeatedBools: ...
        @property
        def strings(self) -> MILSpec.TensorValue.RepeatedStrings: ...
        @property
        def longInts(self) -> MILSpec.TensorValue.RepeatedLongInts: ...
        @property
        def doubles(self) -> MILSpec.TensorValue.RepeatedDoubles: ...
        @property
        def bytes(self) -> MILSpec.TensorValue.RepeatedBytes: ...
        def __init__(self, *, floats: MILSpec.TensorValue.RepeatedFloats | None = ..., ints: MILSpec.TensorValue.RepeatedInts | None = ..., bools: MILSpec.TensorValue.RepeatedBools | None = ..., strings: MILSpec.TensorValue.RepeatedStrings | None = ..., longInts: MILSpec.TensorValue.RepeatedLongInts | None = ..., doubles: MILSpec.TensorValue.RepeatedDoubles | None = ..., bytes: MILSpec.TensorValue.RepeatedBytes | None = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["value"]) -> Literal["floats", "ints", "bools", "strings", "longInts", "doubles", "bytes"] | None: ...

    class TupleValue(Message):
        DESCRIPTOR: Descriptor
        @property
        def values(self) -> _Messages[MILSpec.Value]: ...
        def __init__(self, *, values: Iterable[MILSpec.Value] = ...) -> None: ...

    class ListValue(Message):
        DESCRIPTOR: Descriptor
        @property
        def values(self) -> _Messages[MILSpec.Value]: ...
        def __init__(self, *, values: Iterable[MILSpec.Value] = ...) -> None: ...

    class DictionaryValue(Message):
        DESCRIPTOR: Descriptor
        class KeyValuePair(Message):
            DESCRIPTOR: Descriptor
            @property
            def key(self) -> MILSpec.Value: ...
            @property
            def value(self) -> MILSpec.Value: ...
            def __init__(self, *, key: MILSpec.Value | None = ..., value: MILSpec.Value | None = ...) -> None: ...

        @property
        def values(self) -> _Messages[MILSpec.DictionaryValue.KeyValuePair]: ...
        def __init__(self, *, values: Iterable[MILSpec.DictionaryValue.KeyValuePair] = ...) -> None: ...

class ArrayFeatureExtractor(Message):
    DESCRIPTOR: Descriptor
    @property
    def extractIndex(self) -> MutableSequence[int]: ...
    def __init__(self, *, extractIndex: Iterable[int] = ...) -> None: ...

class BayesianProbitRegressor(Message):
    DESCRIPTOR: Descriptor
    class Gaussian(Message):
        DESCRIPTOR: Descriptor
        mean: float
        precision: float
        def __init__(self, *, mean: float = ..., precision: float = ...) -> None: ...

    class FeatureValueWeight(Message):
        DESCRIPTOR: Descriptor
        featureValue: int
        @property
        def featureWeight(self) -> BayesianProbitRegressor.Gaussian: ...
        def __init__(self, *, featureValue: int = ..., featureWeight: BayesianProbitRegressor.Gaussian | None = ...) -> None: ...

    class FeatureWeight(Message):
        DESCRIPTOR: Descriptor
        featureId: int
        @property
        def weights(self) -> _Messages[BayesianProbitRegressor.FeatureValueWeight]: ...
        def __init__(self, *, featureId: int = ..., weights: Iterable[BayesianProbitRegressor.FeatureValueWeight] = ...) -> None: ...

    numberOfFeatures: int
    @property
    def bias(self) -> BayesianProbitRegressor.Gaussian: ...
    @property
    def features(self) -> _Messages[BayesianProbitRegressor.FeatureWeight]: ...
    regressionInputFeatureName: str
    optimismInputFeatureName: str
    samplingScaleInputFeatureName: str
    samplingTruncationInputFeatureName: str
    meanOutputFeatureName: str
    varianceOutputFeatureName: str
    pessimisticProbabilityOutputFeatureName: str
    sampledProbabilityOutputFeatureName: str
    def __init__(self, *, numberOfFeatures: int = ..., bias: BayesianProbitRegressor.Gaussian | None = ..., features: Iterable[BayesianProbitRegressor.FeatureWeight] = ..., regressionInputFeatureName: str = ..., optimismInputFeatureName: str = ..., samplingScaleInputFeatureName: str = ..., samplingTruncationInputFeatureName: str = ..., meanOutputFeatureName: str = ..., varianceOutputFeatureName: str = ..., pessimisticProbabilityOutputFeatureName: str = ..., sampledProbabilityOutputFeatureName: str = ...) -> None: ...

class Int64FeatureType(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class DoubleFeatureType(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class StringFeatureType(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class SizeRange(Message):
    DESCRIPTOR: Descriptor
    lowerBound: int
    upperBound: int
    def __init__(self, *, lowerBound: int = ..., upperBound: int = ...) -> None: ...

class ImageFeatureType(Message):
    DESCRIPTOR: Descriptor
    class ColorSpace:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        INVALID_COLOR_SPACE: ClassVar[int]
        GRAYSCALE: ClassVar[int]
        RGB: ClassVar[int]
        BGR: ClassVar[int]
        GRAYSCALE_FLOAT16: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    INVALID_COLOR_SPACE: int
    GRAYSCALE: int
    RGB: int
    BGR: int
    GRAYSCALE_FLOAT16: int

    class ImageSize(Message):
        DESCRIPTOR: Descriptor
        width: int
        height: int
        def __init__(self, *, width: int = ..., height: int = ...) -> None: ...

    class EnumeratedImageSizes(Message):
        DESCRIPTOR: Descriptor
        @property
        def sizes(self) -> _Messages[ImageFeatureType.ImageSize]: ...
        def __init__(self, *, sizes: Iterable[ImageFeatureType.ImageSize] = ...) -> None: ...

    class ImageSizeRange(Message):
        DESCRIPTOR: Descriptor
        @property
        def widthRange(self) -> SizeRange: ...
        @property
        def heightRange(self) -> SizeRange: ...
        def __init__(self, *, widthRange: SizeRange | None = ..., heightRange: SizeRange | None = ...) -> None: ...

    width: int
    height: int
    @property
    def enumeratedSizes(self) -> ImageFeatureType.EnumeratedImageSizes: ...
    @property
    def imageSizeRange(self) -> ImageFeatureType.ImageSizeRange: ...
    colorSpace: int
    def __init__(self, *, width: int = ..., height: int = ..., enumeratedSizes: ImageFeatureType.EnumeratedImageSizes | None = ..., imageSizeRange: ImageFeatureType.ImageSizeRange | None = ..., colorSpace: int = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["SizeFlexibility"]) -> Literal["enumeratedSizes", "imageSizeRange"] | None: ...

class ArrayFeatureType(Message):
    DESCRIPTOR: Descriptor
    class ArrayDataType:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        INVALID_ARRAY_DATA_TYPE: ClassVar[int]
        FLOAT32: ClassVar[int]
        DOUBLE: ClassVar[int]
        INT32: ClassVar[int]
        INT8: ClassVar[int]
        FLOAT16: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    INVALID_ARRAY_DATA_TYPE: int
    FLOAT32: int
    DOUBLE: int
    INT32: int
    INT8: int
    FLOAT16: int

    class Shape(Message):
        DESCRIPTOR: Descriptor
        @property
        def shape(self) -> MutableSequence[int]: ...
        def __init__(self, *, shape: Iterable[int] = ...) -> None: ...

    class EnumeratedShapes(Message):
        DESCRIPTOR: Descriptor
        @property
        def shapes(self) -> _Messages[ArrayFeatureType.Shape]: ...
        def __init__(self, *, shapes: Iterable[ArrayFeatureType.Shape] = ...) -> None: ...

    class ShapeRange(Message):
        DESCRIPTOR: Descriptor
        @property
        def sizeRanges(self) -> _Messages[SizeRange]: ...
        def __init__(self, *, sizeRanges: Iterable[SizeRange] = ...) -> None: ...

    @property
    def shape(self) -> MutableSequence[int]: ...
    dataType: int
    @property
    def enumeratedShapes(self) -> ArrayFeatureType.EnumeratedShapes: ...
    @property
    def shapeRange(self) -> ArrayFeatureType.ShapeRange: ...
    intDefaultValue: int
    floatDefaultValue: float
    doubleDefaultValue: float
    def __init__(self, *, shape: Iterable[int] = ..., dataType: int = ..., enumeratedShapes: ArrayFeatureType.EnumeratedShapes | None = ..., shapeRange: ArrayFeatureType.ShapeRange | None = ..., intDefaultValue: int = ..., floatDefaultValue: float = ..., doubleDefaultValue: float = ...) -> None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["ShapeFlexibility"]) -> Literal["enumeratedShapes", "shapeRange"] | None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["defaultOptionalValue"]) -> Literal["intDefaultValue", "floatDefaultValue", "doubleDefaultValue"] | None: ...

class DictionaryFeatureType(Message):
    DESCRIPTOR: Descriptor
    @property
    def int64KeyType(self) -> Int64FeatureType: ...
    @property
    def stringKeyType(self) -> StringFeatureType: ...
    def __init__(self, *, int64KeyType: Int64FeatureType | None = ..., stringKeyType: StringFeatureType | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["KeyType"]) -> Literal["int64KeyType", "stringKeyType"] | None: ...

class SequenceFeatureType(Message):
    DESCRIPTOR: Descriptor
    @property
    def int64Type(self) -> Int64FeatureType: ...
    @property
    def stringType(self) -> StringFeatureType: ...
    @property
    def sizeRange(self) -> SizeRange: ...
    def __init__(self, *, int64Type: Int64FeatureType | None = ..., stringType: StringFeatureType | None = ..., sizeRange: SizeRange | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["Type"]) -> Literal["int64Type", "stringType"] | None: ...

class StateFeatureType(Message):
    DESCRIPTOR: Descriptor
    @property
    def arrayType(self) -> ArrayFeatureType: ...
    def __init__(self, *, arrayType: ArrayFeatureType | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["Type"]) -> Literal["arrayType"] | None: ...

class FeatureType(Message):
    DESCRIPTOR: Descriptor
    @property
    def int64Type(self) -> Int64FeatureType: ...
    @property
    def doubleType(self) -> DoubleFeatureType: ...
    @property
    def stringType(self) -> StringFeatureType: ...
    @property
    def imageType(self) -> ImageFeatureType: ...
    @property
    def multiArrayType(self) -> ArrayFeatureType: ...
    @property
    def dictionaryType(self) -> DictionaryFeatureType: ...
    @property
    def sequenceType(self) -> SequenceFeatureType: ...
    @property
    def stateType(self) -> StateFeatureType: ...
    isOptional: bool
    def __init__(self, *, int64Type: Int64FeatureType | None = ..., doubleType: DoubleFeatureType | None = ..., stringType: StringFeatureType | None = ..., imageType: ImageFeatureType | None = ..., multiArrayType: ArrayFeatureType | None = ..., dictionaryType: DictionaryFeatureType | None = ..., sequenceType: SequenceFeatureType | None = ..., stateType: StateFeatureType | None = ..., isOptional: bool = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["Type"]) -> Literal["int64Type", "doubleType", "stringType", "imageType", "multiArrayType", "dictionaryType", "sequenceType", "stateType"] | None: ...

class StringToInt64Map(Message):
    DESCRIPTOR: Descriptor
    @property
    def map(self) -> MutableMapping[str, int]: ...
    def __init__(self, *, map: Mapping[str, int] = ...) -> None: ...

class Int64ToStringMap(Message):
    DESCRIPTOR: Descriptor
    @property
    def map(self) -> MutableMapping[int, str]: ...
    def __init__(self, *, map: Mapping[int, str] = ...) -> None: ...

class StringToDoubleMap(Message):
    DESCRIPTOR: Descriptor
    @property
    def map(self) -> MutableMapping[str, float]: ...
    def __init__(self, *, map: Mapping[str, float] = ...) -> None: ...

class Int64ToDoubleMap(Message):
    DESCRIPTOR: Descriptor
    @property
    def map(self) -> MutableMapping[int, float]: ...
    def __init__(self, *, map: Mapping[int, float] = ...) -> None: ...

class StringVector(Message):
    DESCRIPTOR: Descriptor
    @property
    def vector(self) -> MutableSequence[str]: ...
    def __init__(self, *, vector: Iterable[str] = ...) -> None: ...

class Int64Vector(Message):
    DESCRIPTOR: Descriptor
    @property
    def vector(self) -> MutableSequence[int]: ...
    def __init__(self, *, vector: Iterable[int] = ...) -> None: ...

class FloatVector(Message):
    DESCRIPTOR: Descriptor
    @property
    def vector(self) -> MutableSequence[float]: ...
    def __init__(self, *, vector: Iterable[float] = ...) -> None: ...

class DoubleVector(Message):
    DESCRIPTOR: Descriptor
    @property
    def vector(self) -> MutableSequence[float]: ...
    def __init__(self, *, vector: Iterable[float] = ...) -> None: ...

class Int64Range(Message):
    DESCRIPTOR: Descriptor
    minValue: int
    maxValue: int
    def __init__(self, *, minValue: int = ..., maxValue: int = ...) -> None: ...

class Int64Set(Message):
    DESCRIPTOR: Descriptor
    @property
    def values(self) -> MutableSequence[int]: ...
    def __init__(self, *, values: Iterable[int] = ...) -> None: ...

class DoubleRange(Message):
    DESCRIPTOR: Descriptor
    minValue: float
    maxValue: float
    def __init__(self, *, minValue: float = ..., maxValue: float = ...) -> None: ...

class PrecisionRecallCurve(Message):
    DESCRIPTOR: Descriptor
    @property
    def precisionValues(self) -> FloatVector: ...
    @property
    def precisionConfidenceThresholds(self) -> FloatVector: ...
    @property
    def recallValues(self) -> FloatVector: ...
    @property
    def recallConfidenceThresholds(self) -> FloatVector: ...
    def __init__(self, *, precisionValues: FloatVector | None = ..., precisionConfidenceThresholds: FloatVector | None = ..., recallValues: FloatVector | None = ..., recallConfidenceThresholds: FloatVector | None = ...) -> None: ...

class CategoricalMapping(Message):
    DESCRIPTOR: Descriptor
    @property
    def stringToInt64Map(self) -> StringToInt64Map: ...
    @property
    def int64ToStringMap(self) -> Int64ToStringMap: ...
    strValue: str
    int64Value: int
    def __init__(self, *, stringToInt64Map: StringToInt64Map | None = ..., int64ToStringMap: Int64ToStringMap | None = ..., strValue: str = ..., int64Value: int = ...) -> None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["MappingType"]) -> Literal["stringToInt64Map", "int64ToStringMap"] | None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["ValueOnUnknown"]) -> Literal["strValue", "int64Value"] | None: ...

class ClassConfidenceThresholding(Message):
    DESCRIPTOR: Descriptor
    @property
    def precisionRecallCurves(self) -> _Messages[PrecisionRecallCurve]: ...
    def __init__(self, *, precisionRecallCurves: Iterable[PrecisionRecallCurve] = ...) -> None: ...

class CustomModel(Message):
    DESCRIPTOR: Descriptor
    class CustomModelParamValue(Message):
        DESCRIPTOR: Descriptor
        doubleValue: float
        stringValue: str
        intValue: int
        longValue: int
        boolValue: bool
        bytesValue: bytes
        def __init__(self, *, doubleValue: float = ..., stringValue: str = ..., intValue: int = ..., longValue: int = ..., boolValue: bool = ..., bytesValue: bytes = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["value"]) -> Literal["doubleValue", "stringValue", "intValue", "longValue", "boolValue", "bytesValue"] | None: ...

    className: str
    @property
    def parameters(self) -> _MessageMap[str, CustomModel.CustomModelParamValue]: ...
    description: str
    def __init__(self, *, className: str = ..., parameters: Mapping[str, CustomModel.CustomModelParamValue] = ..., description: str = ...) -> None: ...

class DictVectorizer(Message):
    DESCRIPTOR: Descriptor
    @property
    def stringToIndex(self) -> StringVector: ...
    @property
    def int64ToIndex(self) -> Int64Vector: ...
    def __init__(self, *, stringToIndex: StringVector | None = ..., int64ToIndex: Int64Vector | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["Map"]) -> Literal["stringToIndex", "int64ToIndex"] | None: ...

class FeatureVectorizer(Message):
    DESCRIPTOR: Descriptor
    class InputColumn(Message):
        DESCRIPTOR: Descriptor
        inputColumn: str
        inputDimensions: int
        def __init__(self, *, inputColumn: str = ..., inputDimensions: int = ...) -> None: ...

    @property
    def inputList(self) -> _Messages[FeatureVectorizer.InputColumn]: ...
    def __init__(self, *, inputList: Iterable[FeatureVectorizer.InputColumn] = ...) -> None: ...

class GLMClassifier(Message):
    DESCRIPTOR: Descriptor
    class PostEvaluationTransform:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        Logit: ClassVar[int]
        Probit: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    Logit: int
    Probit: int

    class ClassEncoding:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        ReferenceClass: ClassVar[int]
        OneVsRest: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    ReferenceClass: int
    OneVsRest: int

    class DoubleArray(Message):
        DESCRIPTOR: Descriptor
        @property
        def value(self) -> MutableSequence[float]: ...
        def __init__(self, *, value: Iterable[float] = ...) -> None: ...

    @property
    def weights(self) -> _Messages[GLMClassifier.DoubleArray]: ...
    @property
    def offset(self) -> MutableSequence[float]: ...
    postEvaluationTransform: int
    classEncoding: int
    @property
    def stringClassLabels(self) -> StringVector: ...
    @property
    def int64ClassLabels(self) -> Int64Vector: ...
    def __init__(self, *, weights: Iterable[GLMClassifier.DoubleArray] = ..., offset: Iterable[float] = ..., postEvaluationTransform: int = ..., classEncoding: int = ..., stringClassLabels: StringVector | None = ..., int64ClassLabels: Int64Vector | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["ClassLabels"]) -> Literal["stringClassLabels", "int64ClassLabels"] | None: ...

class GLMRegressor(Message):
    DESCRIPTOR: Descriptor
    class PostEvaluationTransform:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        NoTransform: ClassVar[int]
        Logit: ClassVar[int]
        Probit: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    NoTransform: int
    Logit: int
    Probit: int

    class DoubleArray(Message):
        DESCRIPTOR: Descriptor
        @property
        def value(self) -> MutableSequence[float]: ...
        def __init__(self, *, value: Iterable[float] = ...) -> None: ...

    @property
    def weights(self) -> _Messages[GLMRegressor.DoubleArray]: ...
    @property
    def offset(self) -> MutableSequence[float]: ...
    postEvaluationTransform: int
    def __init__(self, *, weights: Iterable[GLMRegressor.DoubleArray] = ..., offset: Iterable[float] = ..., postEvaluationTransform: int = ...) -> None: ...

class Identity(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class Imputer(Message):
    DESCRIPTOR: Descriptor
    imputedDoubleValue: float
    imputedInt64Value: int
    imputedStringValue: str
    @property
    def imputedDoubleArray(self) -> DoubleVector: ...
    @property
    def imputedInt64Array(self) -> Int64Vector: ...
    @property
    def imputedStringDictionary(self) -> StringToDoubleMap: ...
    @property
    def imputedInt64Dictionary(self) -> Int64ToDoubleMap: ...
    replaceDoubleValue: float
    replaceInt64Value: int
    replaceStringValue: str
    def __init__(self, *, imputedDoubleValue: float = ..., imputedInt64Value: int = ..., imputedStringValue: str = ..., imputedDoubleArray: DoubleVector | None = ..., imputedInt64Array: Int64Vector | None = ..., imputedStringDictionary: StringToDoubleMap | None = ..., imputedInt64Dictionary: Int64ToDoubleMap | None = ..., replaceDoubleValue: float = ..., replaceInt64Value: int = ..., replaceStringValue: str = ...) -> None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["ImputedValue"]) -> Literal["imputedDoubleValue", "imputedInt64Value", "imputedStringValue", "imputedDoubleArray", "imputedInt64Array", "imputedStringDictionary", "imputedInt64Dictionary"] | None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["ReplaceValue"]) -> Literal["replaceDoubleValue", "replaceInt64Value", "replaceStringValue"] | None: ...

class ItemSimilarityRecommender(Message):
    DESCRIPTOR: Descriptor
    class ConnectedItem(Message):
        DESCRIPTOR: Descriptor
        itemId: int
        similarityScore: float
        def __init__(self, *, itemId: int = ..., similarityScore: float = ...) -> None: ...

    class SimilarItems(Message):
        DESCRIPTOR: Descriptor
        itemId: int
        @property
        def similarItemList(self) -> _Messages[ItemSimilarityRecommender.ConnectedItem]: ...
        itemScoreAdjustment: float
        def __init__(self, *, itemId: int = ..., similarItemList: Iterable[ItemSimilarityRecommender.ConnectedItem] = ..., itemScoreAdjustment: float = ...) -> None: ...

    @property
    def itemItemSimilarities(self) -> _Messages[ItemSimilarityRecommender.SimilarItems]: ...
    @property
    def itemStringIds(self) -> StringVector: ...
    @property
    def itemInt64Ids(self) -> Int64Vector: ...
    itemInputFeatureName: str
    numRecommendationsInputFeatureName: str
    itemRestrictionInputFeatureName: str
    itemExclusionInputFeatureName: str
    recommendedItemListOutputFeatureName: str
    recommendedItemScoreOutputFeatureName: str
    def __init__(self, *, itemItemSimilarities: Iterable[ItemSimilarityRecommender.SimilarItems] = ..., itemStringIds: StringVector | None = ..., itemInt64Ids: Int64Vector | None = ..., itemInputFeatureName: str = ..., numRecommendationsInputFeatureName: str = ..., itemRestrictionInputFeatureName: str = ..., itemExclusionInputFeatureName: str = ..., recommendedItemListOutputFeatureName: str = ..., recommendedItemScoreOutputFeatureName: str = ...) -> None: ...

class Int64Parameter(Message):
    DESCRIPTOR: Descriptor
    defaultValue: int
    @property
    def range(self) -> Int64Range: ...
    @property
    def set(self) -> Int64Set: ...
    def __init__(self, *, defaultValue: int = ..., range: Int64Range | None = ..., set: Int64Set | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["AllowedValues"]) -> Literal["range", "set"] | None: ...

class DoubleParameter(Message):
    DESCRIPTOR: Descriptor
    defaultValue: float
    @property
    def range(self) -> DoubleRange: ...
    def __init__(self, *, defaultValue: float = ..., range: DoubleRange | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["AllowedValues"]) -> Literal["range"] | None: ...

class StringParameter(Message):
    DESCRIPTOR: Descriptor
    defaultValue: str
    def __init__(self, *, defaultValue: str = ...) -> None: ...

class BoolParameter(Message):
    DESCRIPTOR: Descriptor
    defaultValue: bool
    def __init__(self, *, defaultValue: bool = ...) -> None: ...

class LinkedModel(Message):
    DESCRIPTOR: Descriptor
    @property
    def linkedModelFile(self) -> LinkedModelFile: ...
    def __init__(self, *, linkedModelFile: LinkedModelFile | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["LinkType"]) -> Literal["linkedModelFile"] | None: ...

class LinkedModelFile(Message):
    DESCRIPTOR: Descriptor
    @property
    def linkedModelFileName(self) -> StringParameter: ...
    @property
    def linkedModelSearchPath(self) -> StringParameter: ...
    def __init__(self, *, linkedModelFileName: StringParameter | None = ..., linkedModelSearchPath: StringParameter | None = ...) -> None: ...

class KNearestNeighborsClassifier(Message):
    DESCRIPTOR: Descriptor
    @property
    def nearestNeighborsIndex(self) -> NearestNeighborsIndex: ...
    @property
    def numberOfNeighbors(self) -> Int64Parameter: ...
    @property
    def stringClassLabels(self) -> StringVector: ...
    @property
    def int64ClassLabels(self) -> Int64Vector: ...
    defaultStringLabel: str
    defaultInt64Label: int
    @property
    def uniformWeighting(self) -> UniformWeighting: ...
    @property
    def inverseDistanceWeighting(self) -> InverseDistanceWeighting: ...
    def __init__(self, *, nearestNeighborsIndex: NearestNeighborsIndex | None = ..., numberOfNeighbors: Int64Parameter | None = ..., stringClassLabels: StringVector | None = ..., int64ClassLabels: Int64Vector | None = ..., defaultStringLabel: str = ..., defaultInt64Label: int = ..., uniformWeighting: UniformWeighting | None = ..., inverseDistanceWeighting: InverseDistanceWeighting | None = ...) -> None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["ClassLabels"]) -> Literal["stringClassLabels", "int64ClassLabels"] | None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["DefaultClassLabel"]) -> Literal["defaultStringLabel", "defaultInt64Label"] | None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["WeightingScheme"]) -> Literal["uniformWeighting", "inverseDistanceWeighting"] | None: ...

class NearestNeighborsIndex(Message):
    DESCRIPTOR: Descriptor
    numberOfDimensions: int
    @property
    def floatSamples(self) -> _Messages[FloatVector]: ...
    @property
    def linearIndex(self) -> LinearIndex: ...
    @property
    def singleKdTreeIndex(self) -> SingleKdTreeIndex: ...
    @property
    def squaredEuclideanDistance(self) -> SquaredEuclideanDistance: ...
    def __init__(self, *, numberOfDimensions: int = ..., floatSamples: Iterable[FloatVector] = ..., linearIndex: LinearIndex | None = ..., singleKdTreeIndex: SingleKdTreeIndex | None = ..., squaredEuclideanDistance: SquaredEuclideanDistance | None = ...) -> None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["IndexType"]) -> Literal["linearIndex", "singleKdTreeIndex"] | None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["DistanceFunction"]) -> Literal["squaredEuclideanDistance"] | None: ...

class UniformWeighting(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class InverseDistanceWeighting(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class LinearIndex(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class SingleKdTreeIndex(Message):
    DESCRIPTOR: Descriptor
    leafSize: int
    def __init__(self, *, leafSize: int = ...) -> None: ...

class SquaredEuclideanDistance(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class NeuralNetworkMultiArrayShapeMapping:
    DESCRIPTOR: ClassVar[EnumDescriptor]
    RANK5_ARRAY_MAPPING: ClassVar[int]
    EXACT_ARRAY_MAPPING: ClassVar[int]
    @staticmethod
    def Name(number: int) -> str: ...
    @staticmethod
    def Value(name: str) -> int: ...
RANK5_ARRAY_MAPPING: int
EXACT_ARRAY_MAPPING: int

class NeuralNetworkImageShapeMapping:
    DESCRIPTOR: ClassVar[EnumDescriptor]
    RANK5_IMAGE_MAPPING: ClassVar[int]
    RANK4_IMAGE_MAPPING: ClassVar[int]
    @staticmethod
    def Name(number: int) -> str: ...
    @staticmethod
    def Value(name: str) -> int: ...
RANK5_IMAGE_MAPPING: int
RANK4_IMAGE_MAPPING: int

class ScatterMode:
    DESCRIPTOR: ClassVar[EnumDescriptor]
    SCATTER_UPDATE: ClassVar[int]
    SCATTER_ADD: ClassVar[int]
    SCATTER_SUB: ClassVar[int]
    SCATTER_MUL: ClassVar[int]
    SCATTER_DIV: ClassVar[int]
    SCATTER_MAX: ClassVar[int]
    SCATTER_MIN: ClassVar[int]
    @staticmethod
    def Name(number: int) -> str: ...
    @staticmethod
    def Value(name: str) -> int: ...
SCATTER_UPDATE: int
SCATTER_ADD: int
SCATTER_SUB: int
SCATTER_MUL: int
SCATTER_DIV: int
SCATTER_MAX: int
SCATTER_MIN: int

class NeuralNetwork(Message):
    DESCRIPTOR: Descriptor
    @property
    def layers(self) -> _Messages[NeuralNetworkLayer]: ...
    @property
    def preprocessing(self) -> _Messages[NeuralNetworkPreprocessing]: ...
    arrayInputShapeMapping: int
    imageInputShapeMapping: int
    @property
    def updateParams(self) -> NetworkUpdateParameters: ...
    def __init__(self, *, layers: Iterable[NeuralNetworkLayer] = ..., preprocessing: Iterable[NeuralNetworkPreprocessing] = ..., arrayInputShapeMapping: int = ..., imageInputShapeMapping: int = ..., updateParams: NetworkUpdateParameters | None = ...) -> None: ...

class NeuralNetworkImageScaler(Message):
    DESCRIPTOR: Descriptor
    channelScale: float
    blueBias: float
    greenBias: float
    redBias: float
    grayBias: float
    def __init__(self, *, channelScale: float = ..., blueBias: float = ..., greenBias: float = ..., redBias: float = ..., grayBias: float = ...) -> None: ...

class NeuralNetworkMeanImage(Message):
    DESCRIPTOR: Descriptor
    @property
    def meanImage(self) -> MutableSequence[float]: ...
    def __init__(self, *, meanImage: Iterable[float] = ...) -> None: ...

class NeuralNetworkPreprocessing(Message):
    DESCRIPTOR: Descriptor
    featureName: str
    @property
    def scaler(self) -> NeuralNetworkImageScaler: ...
    @property
    def meanImage(self) -> NeuralNetworkMeanImage: ...
    def __init__(self, *, featureName: str = ..., scaler: NeuralNetworkImageScaler | None = ..., meanImage: NeuralNetworkMeanImage | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["preprocessor"]) -> Literal["scaler", "meanImage"] | None: ...

class ActivationReLU(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ActivationLeakyReLU(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class ActivationTanh(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ActivationScaledTanh(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    beta: float
    def __init__(self, *, alpha: float = ..., beta: float = ...) -> None: ...

class ActivationSigmoid(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ActivationLinear(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    beta: float
    def __init__(self, *, alpha: float = ..., beta: float = ...) -> None: ...

class ActivationSigmoidHard(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    beta: float
    def __init__(self, *, alpha: float = ..., beta: float = ...) -> None: ...

class ActivationPReLU(Message):
    DESCRIPTOR: Descriptor
    @property
    def alpha(self) -> WeightParams: ...
    def __init__(self, *, alpha: WeightParams | None = ...) -> None: ...

class ActivationELU(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class ActivationThresholdedReLU(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class ActivationSoftsign(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ActivationSoftplus(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ActivationParametricSoftplus(Message):
    DESCRIPTOR: Descriptor
    @property
    def alpha(self) -> WeightParams: ...
    @property
    def beta(self) -> WeightParams: ...
    def __init__(self, *, alpha: WeightParams | None = ..., beta: WeightParams | None = ...) -> None: ...

class ActivationParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def linear(self) -> ActivationLinear: ...
    @property
    def ReLU(self) -> ActivationReLU: ...
    @property
    def leakyReLU(self) -> ActivationLeakyReLU: ...
    @property
    def thresholdedReLU(self) -> ActivationThresholdedReLU: ...
    @property
    def PReLU(self) -> ActivationPReLU: ...
    @property
    def tanh(self) -> ActivationTanh: ...
    @property
    def scaledTanh(self) -> ActivationScaledTanh: ...
    @property
    def sigmoid(self) -> ActivationSigmoid: ...
    @property
    def sigmoidHard(self) -> ActivationSigmoidHard: ...
    @property
    def ELU(self) -> ActivationELU: ...
    @property
    def softsign(self) -> ActivationSoftsign: ...
    @property
    def softplus(self) -> ActivationSoftplus: ...
    @property
    def parametricSoftplus(self) -> ActivationParametricSoftplus: ...
    def __init__(self, *, linear: ActivationLinear | None = ..., ReLU: ActivationReLU | None = ..., leakyReLU: ActivationLeakyReLU | None = ..., thresholdedReLU: ActivationThresholdedReLU | None = ..., PReLU: ActivationPReLU | None = ..., tanh: ActivationTanh | None = ..., scaledTanh: ActivationScaledTanh | None = ..., sigmoid: ActivationSigmoid | None = ..., sigmoidHard: ActivationSigmoidHard | None = ..., ELU: ActivationELU | None = ..., softsign: ActivationSoftsign | None = ..., softplus: ActivationSoftplus | None = ..., parametricSoftplus: ActivationParametricSoftplus | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["NonlinearityType"]) -> Literal["linear", "ReLU", "leakyReLU", "thresholdedReLU", "PReLU", "tanh", "scaledTanh", "sigmoid", "sigmoidHard", "ELU", "softsign", "softplus", "parametricSoftplus"] | None: ...

class Tensor(Message):
    DESCRIPTOR: Descriptor
    rank: int
    @property
    def dimValue(self) -> MutableSequence[int]: ...
    def __init__(self, *, rank: int = ..., dimValue: Iterable[int] = ...) -> None: ...

class NeuralNetworkLayer(Message):
    DESCRIPTOR: Descriptor
    name: str
    @property
    def input(self) -> MutableSequence[str]: ...
    @property
    def output(self) -> MutableSequence[str]: ...
    @property
    def inputTensor(self) -> _Messages[Tensor]: ...
    @property
    def outputTensor(self) -> _Messages[Tensor]: ...
    isUpdatable: bool
    @property
    def convolution(self) -> ConvolutionLayerParams: ...
    @property
    def pooling(self) -> PoolingLayerParams: ...
    @property
    def activation(self) -> ActivationParams: ...
    @property
    def innerProduct(self) -> InnerProductLayerParams: ...
    @property
    def embedding(self) -> EmbeddingLayerParams: ...
    @property
    def batchnorm(self) -> BatchnormLayerParams: ...
    @property
    def mvn(self) -> MeanVarianceNormalizeLayerParams: ...
    @property
    def l2normalize(self) -> L2NormalizeLayerParams: ...
    @property
    def softmax(self) -> SoftmaxLayerParams: ...
    @property
    def lrn(self) -> LRNLayerParams: ...
    @property
    def crop(self) -> CropLayerParams: ...
    @property
    def padding(self) -> PaddingLayerParams: ...
    @property
    def upsample(self) -> UpsampleLayerParams: ...
    @property
    def resizeBilinear(self) -> ResizeBilinearLayerParams: ...
    @property
    def cropResize(self) -> CropResizeLayerParams: ...
    @property
    def unary(self) -> UnaryFunctionLayerParams: ...
    @property
    def add(self) -> AddLayerParams: ...
    @property
    def multiply(self) -> MultiplyLayerParams: ...
    @property
    def average(self) -> AverageLayerParams: ...
    @property
    def scale(self) -> ScaleLayerParams: ...
    @property
    def bias(self) -> BiasLayerParams: ...
    @property
    def max(self) -> MaxLayerParams: ...
    @property
    def min(self) -> MinLayerParams: ...
    @property
    def dot(self) -> DotProductLayerParams: ...
    @property
    def reduce(self) -> ReduceLayerParams: ...
    @property
    def loadConstant(self) -> LoadConstantLayerParams: ...
    @property
    def reshape(self) -> ReshapeLayerParams: ...
    @property
    def flatten(self) -> FlattenLayerParams: ...
    @property
    def permute(self) -> PermuteLayerParams: ...
    @property
    def concat(self) -> ConcatLayerParams: ...
    @property
    def split(self) -> SplitLayerParams: ...
    @property
    def sequenceRepeat(self) -> SequenceRepeatLayerParams: ...
    @property
    def reorganizeData(self) -> ReorganizeDataLayerParams: ...
    @property
    def slice(self) -> SliceLayerParams: ...
    @property
    def simpleRecurrent(self) -> SimpleRecurrentLayerParams: ...
    @property
    def gru(self) -> GRULayerParams: ...
    @property
    def uniDirectionalLSTM(self) -> UniDirectionalLSTMLayerParams: ...
    @property
    def biDirectionalLSTM(self) -> BiDirectionalLSTMLayerParams: ...
    @property
    def custom(self) -> CustomLayerParams: ...
    @property
    def copy(self) -> CopyLayerParams: ...
    @property
    def branch(self) -> BranchLayerParams: ...
    @property
    def loop(self) -> LoopLayerParams: ...
    @property
    def loopBreak(self) -> LoopBreakLayerParams: ...
    @property
    def loopContinue(self) -> LoopContinueLayerParams: ...
    @property
    def rangeStatic(self) -> RangeStaticLayerParams: ...
    @property
    def rangeDynamic(self) -> RangeDynamicLayerParams: ...
    @property
    def clip(self) -> ClipLayerParams: ...
    @property
    def ceil(self) -> CeilLayerParams: ...
    @property
    def floor(self) -> FloorLayerParams: ...
    @property
    def sign(self) -> SignLayerParams: ...
    @property
    def round(self) -> RoundLayerParams: ...
    @property
    def exp2(self) -> Exp2LayerParams: ...
    @property
    def sin(self) -> SinLayerParams: ...
    @property
    def cos(self) -> CosLayerParams: ...
    @property
    def tan(self) -> TanLayerParams: ...
    @property
    def asin(self) -> AsinLayerParams: ...
    @property
    def acos(self) -> AcosLayerParams: ...
    @property
    def atan(self) -> AtanLayerParams: ...
    @property
    def sinh(self) -> SinhLayerParams: ...
    @property
    def cosh(self) -> CoshLayerParams: ...
    @property
    def tanh(self) -> TanhLayerParams: ...
    @property
    def asinh(self) -> AsinhLayerParams: ...
    @property
    def acosh(self) -> AcoshLayerParams: ...
    @property
    def atanh(self) -> AtanhLayerParams: ...
    @property
    def erf(self) -> ErfLayerParams: ...
    @property
    def gelu(self) -> GeluLayerParams: ...
    @property
    def equal(self) -> EqualLayerParams: ...
    @property
    def notEqual(self) -> NotEqualLayerParams: ...
    @property
    def lessThan(self) -> LessThanLayerParams: ...
    @property
    def lessEqual(self) -> LessEqualLayerParams: ...
    @property
    def greaterThan(self) -> GreaterThanLayerParams: ...
    @property
    def greaterEqual(self) -> GreaterEqualLayerParams: ...
    @property
    def logicalOr(self) -> LogicalOrLayerParams: ...
    @property
    def logicalXor(self) -> LogicalXorLayerParams: ...
    @property
    def logicalNot(self) -> LogicalNotLayerParams: ...
    @property
    def logicalAnd(self) -> LogicalAndLayerParams: ...
    @property
    def modBroadcastable(self) -> ModBroadcastableLayerParams: ...
    @property
    def minBroadcastable(self) -> MinBroadcastableLayerParams: ...
    @property
    def maxBroadcastable(self) -> MaxBroadcastableLayerParams: ...
    @property
    def addBroadcastable(self) -> AddBroadcastableLayerParams: ...
    @property
    def powBroadcastable(self) -> PowBroadcastableLayerParams: ...
    @property
    def divideBroadcastable(self) -> DivideBroadcastableLayerParams: ...
    @property
    def floorDivBroadcastable(self) -> FloorDivBroadcastableLayerParams: ...
    @property
    def multiplyBroadcastable(self) -> MultiplyBroadcastableLayerParams: ...
    @property
    def subtractBroadcastable(self) -> SubtractBroadcastableLayerParams: ...
    @property
    def tile(self) -> TileLayerParams: ...
    @property
    def stack(self) -> StackLayerParams: ...
    @property
    def gather(self) -> GatherLayerParams: ...
    @property
    def scatter(self) -> ScatterLayerParams: ...
    @property
    def gatherND(self) -> GatherNDLayerParams: ...
    @property
    def scatterND(self) -> ScatterNDLayerParams: ...
    @property
    def softmaxND(self) -> SoftmaxNDLayerParams: ...
    @property
    def gatherAlongAxis(self) -> GatherAlongAxisLayerParams: ...
    @property
    def scatterAlongAxis(self) -> ScatterAlongAxisLayerParams: ...
    @property
    def reverse(self) -> ReverseLayerParams: ...
    @property
    def reverseSeq(self) -> ReverseSeqLayerParams: ...
    @property
    def splitND(self) -> SplitNDLayerParams: ...
    @property
    def concatND(self) -> ConcatNDLayerParams: ...
    @property
    def transpose(self) -> TransposeLayerParams: ...
    @property
    def sliceStatic(self) -> SliceStaticLayerParams: ...
    @property
    def sliceDynamic(self) -> SliceDynamicLayerParams: ...
    @property
    def slidingWindows(self) -> SlidingWindowsLayerParams: ...
    @property
    def topK(self) -> TopKLayerParams: ...
    @property
    def argMin(self) -> ArgMinLayerParams: ...
    @property
    def argMax(self) -> ArgMaxLayerParams: ...
    @property
    def embeddingND(self) -> EmbeddingNDLayerParams: ...
    @property
    def batchedMatmul(self) -> BatchedMatMulLayerParams: ...
    @property
    def getShape(self) -> GetShapeLayerParams: ...
    @property
    def loadConstantND(self) -> LoadConstantNDLayerParams: ...
    @property
    def fillLike(self) -> FillLikeLayerParams: ...
    @property
    def fillStatic(self) -> FillStaticLayerParams: ...
    @property
    def fillDynamic(self) -> FillDynamicLayerParams: ...
    @property
    def broadcastToLike(self) -> BroadcastToLikeLayerParams: ...
    @property
    def broadcastToStatic(self) -> BroadcastToStaticLayerParams: ...
    @property
    def broadcastToDynamic(self) -> BroadcastToDynamicLayerParams: ...
    @property
    def squeeze(self) -> SqueezeLayerParams: ...
    @property
    def expandDims(self) -> ExpandDimsLayerParams: ...
    @property
    def flattenTo2D(self) -> FlattenTo2DLayerParams: ...
    @property
    def reshapeLike(self) -> ReshapeLikeLayerParams: ...
    @property
    def reshapeStatic(self) -> ReshapeStaticLayerParams: ...
    @property
    def reshapeDynamic(self) -> ReshapeDynamicLayerParams: ...
    @property
    def rankPreservingReshape(self) -> RankPreservingReshapeLayerParams: ...
    @property
    def constantPad(self) -> ConstantPaddingLayerParams: ...
    @property
    def randomNormalLike(self) -> RandomNormalLikeLayerParams: ...
    @property
    def randomNormalStatic(self) -> RandomNormalStaticLayerParams: ...
    @property
    def randomNormalDynamic(self) -> RandomNormalDynamicLayerParams: ...
    @property
    def randomUniformLike(self) -> RandomUniformLikeLayerParams: ...
    @property
    def randomUniformStatic(self) -> RandomUniformStaticLayerParams: ...
    @property
    def randomUniformDynamic(self) -> RandomUniformDynamicLayerParams: ...
    @property
    def randomBernoulliLike(self) -> RandomBernoulliLikeLayerParams: ...
    @property
    def randomBernoulliStatic(self) -> RandomBernoulliStaticLayerParams: ...
    @property
    def randomBernoulliDynamic(self) -> RandomBernoulliDynamicLayerParams: ...
    @property
    def categoricalDistribution(self) -> CategoricalDistributionLayerParams: ...
    @property
    def reduceL1(self) -> ReduceL1LayerParams: ...
    @property
    def reduceL2(self) -> ReduceL2LayerParams: ...
    @property
    def reduceMax(self) -> ReduceMaxLayerParams: ...
    @property
    def reduceMin(self) -> ReduceMinLayerParams: ...
    @property
    def reduceSum(self) -> ReduceSumLayerParams: ...
    @property
    def reduceProd(self) -> ReduceProdLayerParams: ...
    @property
    def reduceMean(self) -> ReduceMeanLayerParams: ...
    @property
    def reduceLogSum(self) -> ReduceLogSumLayerParams: ...
    @property
    def reduceSumSquare(self) -> ReduceSumSquareLayerParams: ...
    @property
    def reduceLogSumExp(self) -> ReduceLogSumExpLayerParams: ...
    @property
    def whereNonZero(self) -> WhereNonZeroLayerParams: ...
    @property
    def matrixBandPart(self) -> MatrixBandPartLayerParams: ...
    @property
    def lowerTriangular(self) -> LowerTriangularLayerParams: ...
    @property
    def upperTriangular(self) -> UpperTriangularLayerParams: ...
    @property
    def whereBroadcastable(self) -> WhereBroadcastableLayerParams: ...
    @property
    def layerNormalization(self) -> LayerNormalizationLayerParams: ...
    @property
    def NonMaximumSuppression(self) -> NonMaximumSuppressionLayerParams: ...
    @property
    def oneHot(self) -> OneHotLayerParams: ...
    @property
    def cumSum(self) -> CumSumLayerParams: ...
    @property
    def clampedReLU(self) -> ClampedReLULayerParams: ...
    @property
    def argSort(self) -> ArgSortLayerParams: ...
    @property
    def pooling3d(self) -> Pooling3DLayerParams: ...
    @property
    def globalPooling3d(self) -> GlobalPooling3DLayerParams: ...
    @property
    def sliceBySize(self) -> SliceBySizeLayerParams: ...
    @property
    def convolution3d(self) -> Convolution3DLayerParams: ...
    def __init__(self, *, name: str = ..., input: Iterable[str] = ..., output: Iterable[str] = ..., inputTensor: Iterable[Tensor] = ..., outputTensor: Iterable[Tensor] = ..., isUpdatable: bool = ..., convolution: ConvolutionLayerParams | None = ..., pooling: PoolingLayerParams | None = ..., activation: ActivationParams | None = ..., innerProduct: InnerProductLayerParams | None = ..., embedding: EmbeddingLayerParams | None = ..., batchnorm: BatchnormLayerParams | None = ..., mvn: MeanVarianceNormalizeLayerParams | None = ..., l2normalize: L2NormalizeLayerParams | None = ..., softmax: SoftmaxLayerParams | None = ..., lrn: LRNLayerParams | None = ..., crop: CropLayerParams | None = ..., padding: PaddingLayerParams | None = ..., upsample: UpsampleLayerParams | None = ..., resizeBilinear: ResizeBilinearLayerParams | None = ..., cropResize: CropResizeLayerParams | None = ..., unary: UnaryFunctionLayerParams | None = ..., add: AddLayerParams | None = ..., multiply: MultiplyLayerParams | None = ..., average: AverageLayerParams | None = ..., scale: ScaleLayerParams | None = ..., bias: BiasLayerParams | None = ..., max: MaxLayerParams | None = ..., min: MinLayerParams | None = ..., dot: DotProductLayerParams | None = ..., reduce: ReduceLayerParams | None = ..., loadConstant: LoadConstantLayerParams | None = ..., reshape: ReshapeLayerParams | None = ..., flatten: FlattenLayerParams | None = ..., permute: PermuteLayerParams | None = ..., concat: ConcatLayerParams | None = ..., split: SplitLayerParams | None = ..., sequenceRepeat: SequenceRepeatLayerParams | None = ..., reorganizeData: ReorganizeDataLayerParams | None = ..., slice: SliceLayerParams | None = ..., simpleRecurrent: SimpleRecurrentLayerParams | None = ..., gru: GRULayerParams | None = ..., uniDirectionalLSTM: UniDirectionalLSTMLayerParams | None = ..., biDirectionalLSTM: BiDirectionalLSTMLayerParams | None = ..., custom: CustomLayerParams | None = ..., copy: CopyLayerParams | None = ..., branch: BranchLayerParams | None = ..., loop: LoopLayerParams | None = ..., loopBreak: LoopBreakLayerParams | None = ..., loopContinue: LoopContinueLayerParams | None = ..., rangeStatic: RangeStaticLayerParams | None = ..., rangeDynamic: RangeDynamicLayerParams | None = ..., clip: ClipLayerParams | None = ..., ceil: CeilLayerParams | None = ..., floor: FloorLayerParams | None = ..., sign: SignLayerParams | None = ..., round: RoundLayerParams | None = ..., exp2: Exp2LayerParams | None = ..., sin: SinLayerParams | None = ..., cos: CosLayerParams | None = ..., tan: TanLayerParams | None = ..., asin: AsinLayerParams | None = ..., acos: AcosLayerParams | None = ..., atan: AtanLayerParams | None = ..., sinh: SinhLayerParams | None = ..., cosh: CoshLayerParams | None = ..., tanh: TanhLayerParams | None = ..., asinh: AsinhLayerParams | None = ..., acosh: AcoshLayerParams | None = ..., atanh: AtanhLayerParams | None = ..., erf: ErfLayerParams | None = ..., gelu: GeluLayerParams | None = ..., equal: EqualLayerParams | None = ..., notEqual: NotEqualLayerParams | None = ..., lessThan: LessThanLayerParams | None = ..., lessEqual: LessEqualLayerParams | None = ..., greaterThan: GreaterThanLayerParams | None = ..., greaterEqual: GreaterEqualLayerParams | None = ..., logicalOr: LogicalOrLayerParams | None = ..., logicalXor: LogicalXorLayerParams | None = ..., logicalNot: LogicalNotLayerParams | None = ..., logicalAnd: LogicalAndLayerParams | None = ..., modBroadcastable: ModBroadcastableLayerParams | None = ..., minBroadcastable: MinBroadcastableLayerParams | None = ..., maxBroadcastable: MaxBroadcastableLayerParams | None = ..., addBroadcastable: AddBroadcastableLayerParams | None = ..., powBroadcastable: PowBroadcastableLayerParams | None = ..., divideBroadcastable: DivideBroadcastableLayerParams | None = ..., floorDivBroadcastable: FloorDivBroadcastableLayerParams | None = ..., multiplyBroadcastable: MultiplyBroadcastableLayerParams | None = ..., subtractBroadcastable: SubtractBroadcastableLayerParams | None = ..., tile: TileLayerParams | None = ..., stack: StackLayerParams | None = ..., gather: GatherLayerParams | None = ..., scatter: ScatterLayerParams | None = ..., gatherND: GatherNDLayerParams | None = ..., scatterND: ScatterNDLayerParams | None = ..., softmaxND: SoftmaxNDLayerParams | None = ..., gatherAlongAxis: GatherAlongAxisLayerParams | None = ..., scatterAlongAxis: ScatterAlongAxisLayerParams | None = ..., reverse: ReverseLayerParams | None = ..., reverseSeq: ReverseSeqLayerParams | None = ..., splitND: SplitNDLayerParams | None = ..., concatND: ConcatNDLayerParams | None = ..., transpose: TransposeLayerParams | None = ..., sliceStatic: SliceStaticLayerParams | None = ..., sliceDynamic: SliceDynamicLayerParams | None = ..., slidingWindows: SlidingWindowsLayerParams | None = ..., topK: TopKLayerParams | None = ..., argMin: ArgMinLayerParams | None = ..., argMax: ArgMaxLayerParams | None = ..., embeddingND: EmbeddingNDLayerParams | None = ..., batchedMatmul: BatchedMatMulLayerParams | None = ..., getShape: GetShapeLayerParams | None = ..., loadConstantND: LoadConstantNDLayerParams | None = ..., fillLike: FillLikeLayerParams | None = ..., fillStatic: FillStaticLayerParams | None = ..., fillDynamic: FillDynamicLayerParams | None = ..., broadcastToLike: BroadcastToLikeLayerParams | None = ..., broadcastToStatic: BroadcastToStaticLayerParams | None = ..., broadcastToDynamic: BroadcastToDynamicLayerParams | None = ..., squeeze: SqueezeLayerParams | None = ..., expandDims: ExpandDimsLayerParams | None = ..., flattenTo2D: FlattenTo2DLayerParams | None = ..., reshapeLike: ReshapeLikeLayerParams | None = ..., reshapeStatic: ReshapeStaticLayerParams | None = ..., reshapeDynamic: ReshapeDynamicLayerParams | None = ..., rankPreservingReshape: RankPreservingReshapeLayerParams | None = ..., constantPad: ConstantPaddingLayerParams | None = ..., randomNormalLike: RandomNormalLikeLayerParams | None = ..., randomNormalStatic: RandomNormalStaticLayerParams | None = ..., randomNormalDynamic: RandomNormalDynamicLayerParams | None = ..., randomUniformLike: RandomUniformLikeLayerParams | None = ..., randomUniformStatic: RandomUniformStaticLayerParams | None = ..., randomUniformDynamic: RandomUniformDynamicLayerParams | None = ..., randomBernoulliLike: RandomBernoulliLikeLayerParams | None = ..., randomBernoulliStatic: RandomBernoulliStaticLayerParams | None = ..., randomBernoulliDynamic: RandomBernoulliDynamicLayerParams | None = ..., categoricalDistribution: CategoricalDistributionLayerParams | None = ..., reduceL1: ReduceL1LayerParams | None = ..., reduceL2: ReduceL2LayerParams | None = ..., reduceMax: ReduceMaxLayerParams | None = ..., reduceMin: ReduceMinLayerParams | None = ..., reduceSum: ReduceSumLayerParams | None = ..., reduceProd: ReduceProdLayerParams | None = ..., reduceMean: ReduceMeanLayerParams | None = ..., reduceLogSum: ReduceLogSumLayerParams | None = ..., reduceSumSquare: ReduceSumSquareLayerParams | None = ..., reduceLogSumExp: ReduceLogSumExpLayerParams | None = ..., whereNonZero: WhereNonZeroLayerParams | None = ..., matrixBandPart: MatrixBandPartLayerParams | None = ..., lowerTriangular: LowerTriangularLayerParams | None = ..., upperTriangular: UpperTriangularLayerParams | None = ..., whereBroadcastable: WhereBroadcastableLayerParams | None = ..., layerNormalization: LayerNormalizationLayerParams | None = ..., NonMaximumSuppression: NonMaximumSuppressionLayerParams | None = ..., oneHot: OneHotLayerParams | None = ..., cumSum: CumSumLayerParams | None = ..., clampedReLU: ClampedReLULayerParams | None = ..., argSort: ArgSortLayerParams | None = ..., pooling3d: Pooling3DLayerParams | None = ..., globalPooling3d: GlobalPooling3DLayerParams | None = ..., sliceBySize: SliceBySizeLayerParams | None = ..., convolution3d: Convolution3DLayerParams | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["layer"]) -> Literal["convolution", "pooling", "activation", "innerProduct", "embedding", "batchnorm", "mvn", "l2normalize", "softmax", "lrn", "crop", "padding", "upsample", "resizeBilinear", "cropResize", "unary", "add", "multiply", "average", "scale", "bias", "max", "min", "dot", "reduce", "loadConstant", "reshape", "flatten", "permute", "concat", "split", "sequenceRepeat", "reorganizeData", "slice", "simpleRecurrent", "gru", "uniDirectionalLSTM", "biDirectionalLSTM", "custom", "copy", "branch", "loop", "loopBreak", "loopContinue", "rangeStatic", "rangeDynamic", "clip", "ceil", "floor", "sign", "round", "exp2", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "gelu", "equal", "notEqual", "lessThan", "lessEqual", "greaterThan", "greaterEqual", "logicalOr", "logicalXor", "logicalNot", "logicalAnd", "modBroadcastable", "minBroadcastable", "maxBroadcastable", "addBroadcastable", "powBroadcastable", "divideBroadcastable", "floorDivBroadcastable", "multiplyBroadcastable", "subtractBroadcastable", "tile", "stack", "gather", "scatter", "gatherND", "scatterND", "softmaxND", "gatherAlongAxis", "scatterAlongAxis", "reverse", "reverseSeq", "splitND", "concatND", "transpose", "sliceStatic", "sliceDynamic", "slidingWindows", "topK", "argMin", "argMax", "embeddingND", "batchedMatmul", "getShape", "loadConstantND", "fillLike", "fillStatic", "fillDynamic", "broadcastToLike", "broadcastToStatic", "broadcastToDynamic", "squeeze", "expandDims", "flattenTo2D", "reshapeLike", "reshapeStatic", "reshapeDynamic", "rankPreservingReshape", "constantPad", "randomNormalLike", "randomNormalStatic", "randomNormalDynamic", "randomUniformLike", "randomUniformStatic", "randomUniformDynamic", "randomBernoulliLike", "randomBernoulliStatic", "randomBernoulliDynamic", "categoricalDistribution", "reduceL1", "reduceL2", "reduceMax", "reduceMin", "reduceSum", "reduceProd", "reduceMean", "reduceLogSum", "reduceSumSquare", "reduceLogSumExp", "whereNonZero", "matrixBandPart", "lowerTriangular", "upperTriangular", "whereBroadcastable", "layerNormalization", "NonMaximumSuppression", "oneHot", "cumSum", "clampedReLU", "argSort", "pooling3d", "globalPooling3d", "sliceBySize", "convolution3d"] | None: ...

class BranchLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def ifBranch(self) -> NeuralNetwork: ...
    @property
    def elseBranch(self) -> NeuralNetwork: ...
    def __init__(self, *, ifBranch: NeuralNetwork | None = ..., elseBranch: NeuralNetwork | None = ...) -> None: ...

class LoopLayerParams(Message):
    DESCRIPTOR: Descriptor
    maxLoopIterations: int
    conditionVar: str
    @property
    def conditionNetwork(self) -> NeuralNetwork: ...
    @property
    def bodyNetwork(self) -> NeuralNetwork: ...
    def __init__(self, *, maxLoopIterations: int = ..., conditionVar: str = ..., conditionNetwork: NeuralNetwork | None = ..., bodyNetwork: NeuralNetwork | None = ...) -> None: ...

class LoopBreakLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class LoopContinueLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class CopyLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class GreaterThanLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class GreaterEqualLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class LessThanLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class LessEqualLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class EqualLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class NotEqualLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class LogicalAndLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class LogicalOrLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class LogicalXorLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class LogicalNotLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class BorderAmounts(Message):
    DESCRIPTOR: Descriptor
    class EdgeSizes(Message):
        DESCRIPTOR: Descriptor
        startEdgeSize: int
        endEdgeSize: int
        def __init__(self, *, startEdgeSize: int = ..., endEdgeSize: int = ...) -> None: ...

    @property
    def borderAmounts(self) -> _Messages[BorderAmounts.EdgeSizes]: ...
    def __init__(self, *, borderAmounts: Iterable[BorderAmounts.EdgeSizes] = ...) -> None: ...

class ValidPadding(Message):
    DESCRIPTOR: Descriptor
    @property
    def paddingAmounts(self) -> BorderAmounts: ...
    def __init__(self, *, paddingAmounts: BorderAmounts | None = ...) -> None: ...

class SamePadding(Message):
    DESCRIPTOR: Descriptor
    class SamePaddingMode:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        BOTTOM_RIGHT_HEAVY: ClassVar[int]
        TOP_LEFT_HEAVY: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    BOTTOM_RIGHT_HEAVY: int
    TOP_LEFT_HEAVY: int

    asymmetryMode: int
    def __init__(self, *, asymmetryMode: int = ...) -> None: ...

class SamplingMode(Message):
    DESCRIPTOR: Descriptor
    class Method:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        STRICT_ALIGN_ENDPOINTS_MODE: ClassVar[int]
        ALIGN_ENDPOINTS_MODE: ClassVar[int]
        UPSAMPLE_MODE: ClassVar[int]
        ROI_ALIGN_MODE: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    STRICT_ALIGN_ENDPOINTS_MODE: int
    ALIGN_ENDPOINTS_MODE: int
    UPSAMPLE_MODE: int
    ROI_ALIGN_MODE: int

    samplingMethod: int
    def __init__(self, *, samplingMethod: int = ...) -> None: ...

class BoxCoordinatesMode(Message):
    DESCRIPTOR: Descriptor
    class Coordinates:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        CORNERS_HEIGHT_FIRST: ClassVar[int]
        CORNERS_WIDTH_FIRST: ClassVar[int]
        CENTER_SIZE_HEIGHT_FIRST: ClassVar[int]
        CENTER_SIZE_WIDTH_FIRST: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    CORNERS_HEIGHT_FIRST: int
    CORNERS_WIDTH_FIRST: int
    CENTER_SIZE_HEIGHT_FIRST: int
    CENTER_SIZE_WIDTH_FIRST: int

    boxMode: int
    def __init__(self, *, boxMode: int = ...) -> None: ...

class WeightParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def floatValue(self) -> MutableSequence[float]: ...
    float16Value: bytes
    rawValue: bytes
    int8RawValue: bytes
    @property
    def quantization(self) -> QuantizationParams: ...
    isUpdatable: bool
    def __init__(self, *, floatValue: Iterable[float] = ..., float16Value: bytes = ..., rawValue: bytes = ..., int8RawValue: bytes = ..., quantization: QuantizationParams | None = ..., isUpdatable: bool = ...) -> None: ...

class QuantizationParams(Message):
    DESCRIPTOR: Descriptor
    numberOfBits: int
    @property
    def linearQuantization(self) -> LinearQuantizationParams: ...
    @property
    def lookupTableQuantization(self) -> LookUpTableQuantizationParams: ...
    def __init__(self, *, numberOfBits: int = ..., linearQuantization: LinearQuantizationParams | None = ..., lookupTableQuantization: LookUpTableQuantizationParams | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["QuantizationType"]) -> Literal["linearQuantization", "lookupTableQuantization"] | None: ...

class LinearQuantizationParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def scale(self) -> MutableSequence[float]: ...
    @property
    def bias(self) -> MutableSequence[float]: ...
    def __init__(self, *, scale: Iterable[float] = ..., bias: Iterable[float] = ...) -> None: ...

class LookUpTableQuantizationParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def floatValue(self) -> MutableSequence[float]: ...
    def __init__(self, *, floatValue: Iterable[float] = ...) -> None: ...

class ConvolutionLayerParams(Message):
    DESCRIPTOR: Descriptor
    outputChannels: int
    kernelChannels: int
    nGroups: int
    @property
    def kernelSize(self) -> MutableSequence[int]: ...
    @property
    def stride(self) -> MutableSequence[int]: ...
    @property
    def dilationFactor(self) -> MutableSequence[int]: ...
    @property
    def valid(self) -> ValidPadding: ...
    @property
    def same(self) -> SamePadding: ...
    isDeconvolution: bool
    hasBias: bool
    @property
    def weights(self) -> WeightParams: ...
    @property
    def bias(self) -> WeightParams: ...
    @property
    def outputShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, outputChannels: int = ..., kernelChannels: int = ..., nGroups: int = ..., kernelSize: Iterable[int] = ..., stride: Iterable[int] = ..., dilationFactor: Iterable[int] = ..., valid: ValidPadding | None = ..., same: SamePadding | None = ..., isDeconvolution: bool = ..., hasBias: bool = ..., weights: WeightParams | None = ..., bias: WeightParams | None = ..., outputShape: Iterable[int] = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["ConvolutionPaddingType"]) -> Literal["valid", "same"] | None: ...

class Convolution3DLayerParams(Message):
    DESCRIPTOR: Descriptor
    class PaddingType:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        CUSTOM: ClassVar[int]
        VALID: ClassVar[int]
        SAME: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    CUSTOM: int
    VALID: int
    SAME: int

    outputChannels: int
    inputChannels: int
    nGroups: int
    kernelDepth: int
    kernelHeight: int
    kernelWidth: int
    strideDepth: int
    strideHeight: int
    strideWidth: int
    dilationDepth: int
    dilationHeight: int
    dilationWidth: int
    hasBias: bool
    @property
    def weights(self) -> WeightParams: ...
    @property
    def bias(self) -> WeightParams: ...
    paddingType: int
    customPaddingFront: int
    customPaddingBack: int
    customPaddingTop: int
    customPaddingBottom: int
    customPaddingLeft: int
    customPaddingRight: int
    isDeconvolution: bool
    @property
    def outputShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, outputChannels: int = ..., inputChannels: int = ..., nGroups: int = ..., kernelDepth: int = ..., kernelHeight: int = ..., kernelWidth: int = ..., strideDepth: int = ..., strideHeight: int = ..., strideWidth: int = ..., dilationDepth: int = ..., dilationHeight: int = ..., dilationWidth: int = ..., hasBias: bool = ..., weights: WeightParams | None = ..., bias: WeightParams | None = ..., paddingType: int = ..., customPaddingFront: int = ..., customPaddingBack: int = ..., customPaddingTop: int = ..., customPaddingBottom: int = ..., customPaddingLeft: int = ..., customPaddingRight: int = ..., isDeconvolution: bool = ..., outputShape: Iterable[int] = ...) -> None: ...

class InnerProductLayerParams(Message):
    DESCRIPTOR: Descriptor
    inputChannels: int
    outputChannels: int
    hasBias: bool
    @property
    def weights(self) -> WeightParams: ...
    @property
    def bias(self) -> WeightParams: ...
    int8DynamicQuantize: bool
    def __init__(self, *, inputChannels: int = ..., outputChannels: int = ..., hasBias: bool = ..., weights: WeightParams | None = ..., bias: WeightParams | None = ..., int8DynamicQuantize: bool = ...) -> None: ...

class EmbeddingLayerParams(Message):
    DESCRIPTOR: Descriptor
    inputDim: int
    outputChannels: int
    hasBias: bool
    @property
    def weights(self) -> WeightParams: ...
    @property
    def bias(self) -> WeightParams: ...
    def __init__(self, *, inputDim: int = ..., outputChannels: int = ..., hasBias: bool = ..., weights: WeightParams | None = ..., bias: WeightParams | None = ...) -> None: ...

class EmbeddingNDLayerParams(Message):
    DESCRIPTOR: Descriptor
    vocabSize: int
    embeddingSize: int
    hasBias: bool
    @property
    def weights(self) -> WeightParams: ...
    @property
    def bias(self) -> WeightParams: ...
    def __init__(self, *, vocabSize: int = ..., embeddingSize: int = ..., hasBias: bool = ..., weights: WeightParams | None = ..., bias: WeightParams | None = ...) -> None: ...

class BatchnormLayerParams(Message):
    DESCRIPTOR: Descriptor
    channels: int
    computeMeanVar: bool
    instanceNormalization: bool
    epsilon: float
    @property
    def gamma(self) -> WeightParams: ...
    @property
    def beta(self) -> WeightParams: ...
    @property
    def mean(self) -> WeightParams: ...
    @property
    def variance(self) -> WeightParams: ...
    def __init__(self, *, channels: int = ..., computeMeanVar: bool = ..., instanceNormalization: bool = ..., epsilon: float = ..., gamma: WeightParams | None = ..., beta: WeightParams | None = ..., mean: WeightParams | None = ..., variance: WeightParams | None = ...) -> None: ...

class PoolingLayerParams(Message):
    DESCRIPTOR: Descriptor
    class PoolingType:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        MAX: ClassVar[int]
        AVERAGE: ClassVar[int]
        L2: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    MAX: int
    AVERAGE: int
    L2: int

    class ValidCompletePadding(Message):
        DESCRIPTOR: Descriptor
        @property
        def paddingAmounts(self) -> MutableSequence[int]: ...
        def __init__(self, *, paddingAmounts: Iterable[int] = ...) -> None: ...

    type: int
    @property
    def kernelSize(self) -> MutableSequence[int]: ...
    @property
    def stride(self) -> MutableSequence[int]: ...
    @property
    def valid(self) -> ValidPadding: ...
    @property
    def same(self) -> SamePadding: ...
    @property
    def includeLastPixel(self) -> PoolingLayerParams.ValidCompletePadding: ...
    avgPoolExcludePadding: bool
    globalPooling: bool
    def __init__(self, *, type: int = ..., kernelSize: Iterable[int] = ..., stride: Iterable[int] = ..., valid: ValidPadding | None = ..., same: SamePadding | None = ..., includeLastPixel: PoolingLayerParams.ValidCompletePadding | None = ..., avgPoolExcludePadding: bool = ..., globalPooling: bool = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["PoolingPaddingType"]) -> Literal["valid", "same", "includeLastPixel"] | None: ...

class Pooling3DLayerParams(Message):
    DESCRIPTOR: Descriptor
    class PoolingType3D:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        MAX: ClassVar[int]
        AVERAGE: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    MAX: int
    AVERAGE: int

    class Pooling3DPaddingType:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        CUSTOM: ClassVar[int]
        VALID: ClassVar[int]
        SAME: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    CUSTOM: int
    VALID: int
    SAME: int

    type: int
    kernelDepth: int
    kernelHeight: int
    kernelWidth: int
    strideDepth: int
    strideHeight: int
    strideWidth: int
    paddingType: int
    customPaddingFront: int
    customPaddingBack: int
    customPaddingTop: int
    customPaddingBottom: int
    customPaddingLeft: int
    customPaddingRight: int
    countExcludePadding: bool
    def __init__(self, *, type: int = ..., kernelDepth: int = ..., kernelHeight: int = ..., kernelWidth: int = ..., strideDepth: int = ..., strideHeight: int = ..., strideWidth: int = ..., paddingType: int = ..., customPaddingFront: int = ..., customPaddingBack: int = ..., customPaddingTop: int = ..., customPaddingBottom: int = ..., customPaddingLeft: int = ..., customPaddingRight: int = ..., countExcludePadding: bool = ...) -> None: ...

class GlobalPooling3DLayerParams(Message):
    DESCRIPTOR: Descriptor
    class GlobalPoolingType3D:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        MAX: ClassVar[int]
        AVERAGE: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    MAX: int
    AVERAGE: int

    type: int
    def __init__(self, *, type: int = ...) -> None: ...

class PaddingLayerParams(Message):
    DESCRIPTOR: Descriptor
    class PaddingConstant(Message):
        DESCRIPTOR: Descriptor
        value: float
        def __init__(self, *, value: float = ...) -> None: ...

    class PaddingReflection(Message):
        DESCRIPTOR: Descriptor
        def __init__(self) -> None: ...

    class PaddingReplication(Message):
        DESCRIPTOR: Descriptor
        def __init__(self) -> None: ...

    @property
    def constant(self) -> PaddingLayerParams.PaddingConstant: ...
    @property
    def reflection(self) -> PaddingLayerParams.PaddingReflection: ...
    @property
    def replication(self) -> PaddingLayerParams.PaddingReplication: ...
    @property
    def paddingAmounts(self) -> BorderAmounts: ...
    def __init__(self, *, constant: PaddingLayerParams.PaddingConstant | None = ..., reflection: PaddingLayerParams.PaddingReflection | None = ..., replication: PaddingLayerParams.PaddingReplication | None = ..., paddingAmounts: BorderAmounts | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["PaddingType"]) -> Literal["constant", "reflection", "replication"] | None: ...

class ConcatLayerParams(Message):
    DESCRIPTOR: Descriptor
    sequenceConcat: bool
    def __init__(self, *, sequenceConcat: bool = ...) -> None: ...

class LRNLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    beta: float
    localSize: int
    k: float
    def __init__(self, *, alpha: float = ..., beta: float = ..., localSize: int = ..., k: float = ...) -> None: ...

class SoftmaxLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class SplitLayerParams(Message):
    DESCRIPTOR: Descriptor
    nOutputs: int
    def __init__(self, *, nOutputs: int = ...) -> None: ...

class AddLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class MultiplyLayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    def __init__(self, *, alpha: float = ...) -> None: ...

class UnaryFunctionLayerParams(Message):
    DESCRIPTOR: Descriptor
    class Operation:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        SQRT: ClassVar[int]
        RSQRT: ClassVar[int]
        INVERSE: ClassVar[int]
        POWER: ClassVar[int]
        EXP: ClassVar[int]
        LOG: ClassVar[int]
        ABS: ClassVar[int]
        THRESHOLD: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    SQRT: int
    RSQRT: int
    INVERSE: int
    POWER: int
    EXP: int
    LOG: int
    ABS: int
    THRESHOLD: int

    type: int
    alpha: float
    epsilon: float
    shift: float
    scale: float
    def __init__(self, *, type: int = ..., alpha: float = ..., epsilon: float = ..., shift: float = ..., scale: float = ...) -> None: ...

class UpsampleLayerParams(Message):
    DESCRIPTOR: Descriptor
    class InterpolationMode:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        NN: ClassVar[int]
        BILINEAR: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    NN: int
    BILINEAR: int

    class LinearUpsampleMode:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        DEFAULT: ClassVar[int]
        ALIGN_CORNERS_TRUE: ClassVar[int]
        ALIGN_CORNERS_FALSE: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    DEFAULT: int
    ALIGN_CORNERS_TRUE: int
    ALIGN_CORNERS_FALSE: int

    @property
    def scalingFactor(self) -> MutableSequence[int]: ...
    @property
    def fractionalScalingFactor(self) -> MutableSequence[float]: ...
    mode: int
    linearUpsampleMode: int
    def __init__(self, *, scalingFactor: Iterable[int] = ..., fractionalScalingFactor: Iterable[float] = ..., mode: int = ..., linearUpsampleMode: int = ...) -> None: ...

class ResizeBilinearLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def targetSize(self) -> MutableSequence[int]: ...
    @property
    def mode(self) -> SamplingMode: ...
    def __init__(self, *, targetSize: Iterable[int] = ..., mode: SamplingMode | None = ...) -> None: ...

class CropResizeLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def targetSize(self) -> MutableSequence[int]: ...
    normalizedCoordinates: bool
    @property
    def mode(self) -> SamplingMode: ...
    @property
    def boxIndicesMode(self) -> BoxCoordinatesMode: ...
    spatialScale: float
    def __init__(self, *, targetSize: Iterable[int] = ..., normalizedCoordinates: bool = ..., mode: SamplingMode | None = ..., boxIndicesMode: BoxCoordinatesMode | None = ..., spatialScale: float = ...) -> None: ...

class BiasLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def shape(self) -> MutableSequence[int]: ...
    @property
    def bias(self) -> WeightParams: ...
    def __init__(self, *, shape: Iterable[int] = ..., bias: WeightParams | None = ...) -> None: ...

class ScaleLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def shapeScale(self) -> MutableSequence[int]: ...
    @property
    def scale(self) -> WeightParams: ...
    hasBias: bool
    @property
    def shapeBias(self) -> MutableSequence[int]: ...
    @property
    def bias(self) -> WeightParams: ...
    def __init__(self, *, shapeScale: Iterable[int] = ..., scale: WeightParams | None = ..., hasBias: bool = ..., shapeBias: Iterable[int] = ..., bias: WeightParams | None = ...) -> None: ...

class LoadConstantLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def shape(self) -> MutableSequence[int]: ...
    @property
    def data(self) -> WeightParams: ...
    def __init__(self, *, shape: Iterable[int] = ..., data: WeightParams | None = ...) -> None: ...

class L2NormalizeLayerParams(Message):
    DESCRIPTOR: Descriptor
    epsilon: float
    def __init__(self, *, epsilon: float = ...) -> None: ...

class FlattenLayerParams(Message):
    DESCRIPTOR: Descriptor
    class FlattenOrder:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        CHANNEL_FIRST: ClassVar[int]
        CHANNEL_LAST: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    CHANNEL_FIRST: int
    CHANNEL_LAST: int

    mode: int
    def __init__(self, *, mode: int = ...) -> None: ...

class ReshapeLayerParams(Message):
    DESCRIPTOR: Descriptor
    class ReshapeOrder:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        CHANNEL_FIRST: ClassVar[int]
        CHANNEL_LAST: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    CHANNEL_FIRST: int
    CHANNEL_LAST: int

    @property
    def targetShape(self) -> MutableSequence[int]: ...
    mode: int
    def __init__(self, *, targetShape: Iterable[int] = ..., mode: int = ...) -> None: ...

class PermuteLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axis(self) -> MutableSequence[int]: ...
    def __init__(self, *, axis: Iterable[int] = ...) -> None: ...

class ReorganizeDataLayerParams(Message):
    DESCRIPTOR: Descriptor
    class ReorganizationType:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        SPACE_TO_DEPTH: ClassVar[int]
        DEPTH_TO_SPACE: ClassVar[int]
        PIXEL_SHUFFLE: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    SPACE_TO_DEPTH: int
    DEPTH_TO_SPACE: int
    PIXEL_SHUFFLE: int

    mode: int
    blockSize: int
    def __init__(self, *, mode: int = ..., blockSize: int = ...) -> None: ...

class SliceLayerParams(Message):
    DESCRIPTOR: Descriptor
    class SliceAxis:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        CHANNEL_AXIS: ClassVar[int]
        HEIGHT_AXIS: ClassVar[int]
        WIDTH_AXIS: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    CHANNEL_AXIS: int
    HEIGHT_AXIS: int
    WIDTH_AXIS: int

    startIndex: int
    endIndex: int
    stride: int
    axis: int
    def __init__(self, *, startIndex: int = ..., endIndex: int = ..., stride: int = ..., axis: int = ...) -> None: ...

class ReduceLayerParams(Message):
    DESCRIPTOR: Descriptor
    class ReduceOperation:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        SUM: ClassVar[int]
        AVG: ClassVar[int]
        PROD: ClassVar[int]
        LOGSUM: ClassVar[int]
        SUMSQUARE: ClassVar[int]
        L1: ClassVar[int]
        L2: ClassVar[int]
        MAX: ClassVar[int]
        MIN: ClassVar[int]
        ARGMAX: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    SUM: int
    AVG: int
    PROD: int
    LOGSUM: int
    SUMSQUARE: int
    L1: int
    L2: int
    MAX: int
    MIN: int
    ARGMAX: int

    class ReduceAxis:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        CHW: ClassVar[int]
        HW: ClassVar[int]
        C: ClassVar[int]
        H: ClassVar[int]
        W: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    CHW: int
    HW: int
    C: int
    H: int
    W: int

    mode: int
    epsilon: float
    axis: int
    def __init__(self, *, mode: int = ..., epsilon: float = ..., axis: int = ...) -> None: ...

class CropLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def cropAmounts(self) -> BorderAmounts: ...
    @property
    def offset(self) -> MutableSequence[int]: ...
    def __init__(self, *, cropAmounts: BorderAmounts | None = ..., offset: Iterable[int] = ...) -> None: ...

class AverageLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class MaxLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class MinLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class DotProductLayerParams(Message):
    DESCRIPTOR: Descriptor
    cosineSimilarity: bool
    def __init__(self, *, cosineSimilarity: bool = ...) -> None: ...

class MeanVarianceNormalizeLayerParams(Message):
    DESCRIPTOR: Descriptor
    acrossChannels: bool
    normalizeVariance: bool
    epsilon: float
    def __init__(self, *, acrossChannels: bool = ..., normalizeVariance: bool = ..., epsilon: float = ...) -> None: ...

class SequenceRepeatLayerParams(Message):
    DESCRIPTOR: Descriptor
    nRepetitions: int
    def __init__(self, *, nRepetitions: int = ...) -> None: ...

class SimpleRecurrentLayerParams(Message):
    DESCRIPTOR: Descriptor
    inputVectorSize: int
    outputVectorSize: int
    @property
    def activation(self) -> ActivationParams: ...
    sequenceOutput: bool
    hasBiasVector: bool
    @property
    def weightMatrix(self) -> WeightParams: ...
    @property
    def recursionMatrix(self) -> WeightParams: ...
    @property
    def biasVector(self) -> WeightParams: ...
    reverseInput: bool
    def __init__(self, *, inputVectorSize: int = ..., outputVectorSize: int = ..., activation: ActivationParams | None = ..., sequenceOutput: bool = ..., hasBiasVector: bool = ..., weightMatrix: WeightParams | None = ..., recursionMatrix: WeightParams | None = ..., biasVector: WeightParams | None = ..., reverseInput: bool = ...) -> None: ...

class GRULayerParams(Message):
    DESCRIPTOR: Descriptor
    inputVectorSize: int
    outputVectorSize: int
    @property
    def activations(self) -> _Messages[ActivationParams]: ...
    sequenceOutput: bool
    hasBiasVectors: bool
    @property
    def updateGateWeightMatrix(self) -> WeightParams: ...
    @property
    def resetGateWeightMatrix(self) -> WeightParams: ...
    @property
    def outputGateWeightMatrix(self) -> WeightParams: ...
    @property
    def updateGateRecursionMatrix(self) -> WeightParams: ...
    @property
    def resetGateRecursionMatrix(self) -> WeightParams: ...
    @property
    def outputGateRecursionMatrix(self) -> WeightParams: ...
    @property
    def updateGateBiasVector(self) -> WeightParams: ...
    @property
    def resetGateBiasVector(self) -> WeightParams: ...
    @property
    def outputGateBiasVector(self) -> WeightParams: ...
    reverseInput: bool
    def __init__(self, *, inputVectorSize: int = ..., outputVectorSize: int = ..., activations: Iterable[ActivationParams] = ..., sequenceOutput: bool = ..., hasBiasVectors: bool = ..., updateGateWeightMatrix: WeightParams | None = ..., resetGateWeightMatrix: WeightParams | None = ..., outputGateWeightMatrix: WeightParams | None = ..., updateGateRecursionMatrix: WeightParams | None = ..., resetGateRecursionMatrix: WeightParams | None = ..., outputGateRecursionMatrix: WeightParams | None = ..., updateGateBiasVector: WeightParams | None = ..., resetGateBiasVector: WeightParams | None = ..., outputGateBiasVector: WeightParams | None = ..., reverseInput: bool = ...) -> None: ...

class LSTMParams(Message):
    DESCRIPTOR: Descriptor
    sequenceOutput: bool
    hasBiasVectors: bool
    forgetBias: bool
    hasPeepholeVectors: bool
    coupledInputAndForgetGate: bool
    cellClipThreshold: float
    def __init__(self, *, sequenceOutput: bool = ..., hasBiasVectors: bool = ..., forgetBias: bool = ..., hasPeepholeVectors: bool = ..., coupledInputAndForgetGate: bool = ..., cellClipThreshold: float = ...) -> None: ...

class LSTMWeightParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def inputGateWeightMatrix(self) -> WeightParams: ...
    @property
    def forgetGateWeightMatrix(self) -> WeightParams: ...
    @property
    def blockInputWeightMatrix(self) -> WeightParams: ...
    @property
    def outputGateWeightMatrix(self) -> WeightParams: ...
    @property
    def inputGateRecursionMatrix(self) -> WeightParams: ...
    @property
    def forgetGateRecursionMatrix(self) -> WeightParams: ...
    @property
    def blockInputRecursionMatrix(self) -> WeightParams: ...
    @property
    def outputGateRecursionMatrix(self) -> WeightParams: ...
    @property
    def inputGateBiasVector(self) -> WeightParams: ...
    @property
    def forgetGateBiasVector(self) -> WeightParams: ...
    @property
    def blockInputBiasVector(self) -> WeightParams: ...
    @property
    def outputGateBiasVector(self) -> WeightParams: ...
    @property
    def inputGatePeepholeVector(self) -> WeightParams: ...
    @property
    def forgetGatePeepholeVector(self) -> WeightParams: ...
    @property
    def outputGatePeepholeVector(self) -> WeightParams: ...
    def __init__(self, *, inputGateWeightMatrix: WeightParams | None = ..., forgetGateWeightMatrix: WeightParams | None = ..., blockInputWeightMatrix: WeightParams | None = ..., outputGateWeightMatrix: WeightParams | None = ..., inputGateRecursionMatrix: WeightParams | None = ..., forgetGateRecursionMatrix: WeightParams | None = ..., blockInputRecursionMatrix: WeightParams | None = ..., outputGateRecursionMatrix: WeightParams | None = ..., inputGateBiasVector: WeightParams | None = ..., forgetGateBiasVector: WeightParams | None = ..., blockInputBiasVector: WeightParams | None = ..., outputGateBiasVector: WeightParams | None = ..., inputGatePeepholeVector: WeightParams | None = ..., forgetGatePeepholeVector: WeightParams | None = ..., outputGatePeepholeVector: WeightParams | None = ...) -> None: ...

class UniDirectionalLSTMLayerParams(Message):
    DESCRIPTOR: Descriptor
    inputVectorSize: int
    outputVectorSize: int
    @property
    def activations(self) -> _Messages[ActivationParams]: ...
    @property
    def params(self) -> LSTMParams: ...
    @property
    def weightParams(self) -> LSTMWeightParams: ...
    reverseInput: bool
    def __init__(self, *, inputVectorSize: int = ..., outputVectorSize: int = ..., activations: Iterable[ActivationParams] = ..., params: LSTMParams | None = ..., weightParams: LSTMWeightParams | None = ..., reverseInput: bool = ...) -> None: ...

class BiDirectionalLSTMLayerParams(Message):
    DESCRIPTOR: Descriptor
    inputVectorSize: int
    outputVectorSize: int
    @property
    def activationsForwardLSTM(self) -> _Messages[ActivationParams]: ...
    @property
    def activationsBackwardLSTM(self) -> _Messages[ActivationParams]: ...
    @property
    def params(self) -> LSTMParams: ...
    @property
    def weightParams(self) -> _Messages[LSTMWeightParams]: ...
    def __init__(self, *, inputVectorSize: int = ..., outputVectorSize: int = ..., activationsForwardLSTM: Iterable[ActivationParams] = ..., activationsBackwardLSTM: Iterable[ActivationParams] = ..., params: LSTMParams | None = ..., weightParams: Iterable[LSTMWeightParams] = ...) -> None: ...

class CustomLayerParams(Message):
    DESCRIPTOR: Descriptor
    class CustomLayerParamValue(Message):
        DESCRIPTOR: Descriptor
        doubleValue: float
        stringValue: str
        intValue: int
        longValue: int
        boolValue: bool
        def __init__(self, *, doubleValue: float = ..., stringValue: str = ..., intValue: int = ..., longValue: int = ..., boolValue: bool = ...) -> None: ...
        def WhichOneof(self, oneof_group: Literal["value"]) -> Literal["doubleValue", "stringValue", "intValue", "longValue", "boolValue"] | None: ...

    className: str
    @property
    def weights(self) -> _Messages[WeightParams]: ...
    @property
    def parameters(self) -> _MessageMap[str, CustomLayerParams.CustomLayerParamValue]: ...
    description: str
    def __init__(self, *, className: str = ..., weights: Iterable[WeightParams] = ..., parameters: Mapping[str, CustomLayerParams.CustomLayerParamValue] = ..., description: str = ...) -> None: ...

class TransposeLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    def __init__(self, *, axes: Iterable[int] = ...) -> None: ...

class BatchedMatMulLayerParams(Message):
    DESCRIPTOR: Descriptor
    transposeA: bool
    transposeB: bool
    weightMatrixFirstDimension: int
    weightMatrixSecondDimension: int
    hasBias: bool
    @property
    def weights(self) -> WeightParams: ...
    @property
    def bias(self) -> WeightParams: ...
    int8DynamicQuantize: bool
    def __init__(self, *, transposeA: bool = ..., transposeB: bool = ..., weightMatrixFirstDimension: int = ..., weightMatrixSecondDimension: int = ..., hasBias: bool = ..., weights: WeightParams | None = ..., bias: WeightParams | None = ..., int8DynamicQuantize: bool = ...) -> None: ...

class ConcatNDLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    interleave: bool
    def __init__(self, *, axis: int = ..., interleave: bool = ...) -> None: ...

class SoftmaxNDLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    def __init__(self, *, axis: int = ...) -> None: ...

class ReverseLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def reverseDim(self) -> MutableSequence[bool]: ...
    def __init__(self, *, reverseDim: Iterable[bool] = ...) -> None: ...

class ReverseSeqLayerParams(Message):
    DESCRIPTOR: Descriptor
    batchAxis: int
    sequenceAxis: int
    def __init__(self, *, batchAxis: int = ..., sequenceAxis: int = ...) -> None: ...

class LoadConstantNDLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def shape(self) -> MutableSequence[int]: ...
    @property
    def data(self) -> WeightParams: ...
    def __init__(self, *, shape: Iterable[int] = ..., data: WeightParams | None = ...) -> None: ...

class FillLikeLayerParams(Message):
    DESCRIPTOR: Descriptor
    value: float
    def __init__(self, *, value: float = ...) -> None: ...

class FillStaticLayerParams(Message):
    DESCRIPTOR: Descriptor
    value: float
    @property
    def targetShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, value: float = ..., targetShape: Iterable[int] = ...) -> None: ...

class FillDynamicLayerParams(Message):
    DESCRIPTOR: Descriptor
    value: float
    def __init__(self, *, value: float = ...) -> None: ...

class WhereBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class SinLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class CosLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class TanLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class AsinLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class AcosLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class AtanLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class SinhLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class CoshLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class TanhLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class AsinhLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class AcoshLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class AtanhLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class PowBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class Exp2LayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class WhereNonZeroLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class MatrixBandPartLayerParams(Message):
    DESCRIPTOR: Descriptor
    numLower: int
    numUpper: int
    def __init__(self, *, numLower: int = ..., numUpper: int = ...) -> None: ...

class UpperTriangularLayerParams(Message):
    DESCRIPTOR: Descriptor
    k: int
    def __init__(self, *, k: int = ...) -> None: ...

class LowerTriangularLayerParams(Message):
    DESCRIPTOR: Descriptor
    k: int
    def __init__(self, *, k: int = ...) -> None: ...

class BroadcastToLikeLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class BroadcastToStaticLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def targetShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, targetShape: Iterable[int] = ...) -> None: ...

class BroadcastToDynamicLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class AddBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class MaxBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class MinBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ModBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class FloorDivBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class SubtractBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class MultiplyBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class DivideBroadcastableLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class GatherLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    def __init__(self, *, axis: int = ...) -> None: ...

class ScatterLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    mode: int
    def __init__(self, *, axis: int = ..., mode: int = ...) -> None: ...

class GatherNDLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ScatterNDLayerParams(Message):
    DESCRIPTOR: Descriptor
    mode: int
    def __init__(self, *, mode: int = ...) -> None: ...

class GatherAlongAxisLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    def __init__(self, *, axis: int = ...) -> None: ...

class ScatterAlongAxisLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    mode: int
    def __init__(self, *, axis: int = ..., mode: int = ...) -> None: ...

class StackLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    def __init__(self, *, axis: int = ...) -> None: ...

class RankPreservingReshapeLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def targetShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, targetShape: Iterable[int] = ...) -> None: ...

class ConstantPaddingLayerParams(Message):
    DESCRIPTOR: Descriptor
    value: float
    @property
    def padAmounts(self) -> MutableSequence[int]: ...
    padToGivenOutputSizeMode: bool
    def __init__(self, *, value: float = ..., padAmounts: Iterable[int] = ..., padToGivenOutputSizeMode: bool = ...) -> None: ...

class RandomNormalLikeLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    mean: float
    stdDev: float
    def __init__(self, *, seed: int = ..., mean: float = ..., stdDev: float = ...) -> None: ...

class RandomNormalStaticLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    mean: float
    stdDev: float
    @property
    def outputShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, seed: int = ..., mean: float = ..., stdDev: float = ..., outputShape: Iterable[int] = ...) -> None: ...

class RandomNormalDynamicLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    mean: float
    stdDev: float
    def __init__(self, *, seed: int = ..., mean: float = ..., stdDev: float = ...) -> None: ...

class RandomUniformLikeLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    minVal: float
    maxVal: float
    def __init__(self, *, seed: int = ..., minVal: float = ..., maxVal: float = ...) -> None: ...

class RandomUniformStaticLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    minVal: float
    maxVal: float
    @property
    def outputShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, seed: int = ..., minVal: float = ..., maxVal: float = ..., outputShape: Iterable[int] = ...) -> None: ...

class RandomUniformDynamicLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    minVal: float
    maxVal: float
    def __init__(self, *, seed: int = ..., minVal: float = ..., maxVal: float = ...) -> None: ...

class RandomBernoulliLikeLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    prob: float
    def __init__(self, *, seed: int = ..., prob: float = ...) -> None: ...

class RandomBernoulliStaticLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    prob: float
    @property
    def outputShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, seed: int = ..., prob: float = ..., outputShape: Iterable[int] = ...) -> None: ...

class RandomBernoulliDynamicLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    prob: float
    def __init__(self, *, seed: int = ..., prob: float = ...) -> None: ...

class CategoricalDistributionLayerParams(Message):
    DESCRIPTOR: Descriptor
    seed: int
    numSamples: int
    isLogits: bool
    eps: float
    temperature: float
    def __init__(self, *, seed: int = ..., numSamples: int = ..., isLogits: bool = ..., eps: float = ..., temperature: float = ...) -> None: ...

class ReduceL1LayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceL2LayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceMaxLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceMinLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceSumLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceProdLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceMeanLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceLogSumLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceSumSquareLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ReduceLogSumExpLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    keepDims: bool
    reduceAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., keepDims: bool = ..., reduceAll: bool = ...) -> None: ...

class ExpandDimsLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    def __init__(self, *, axes: Iterable[int] = ...) -> None: ...

class FlattenTo2DLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    def __init__(self, *, axis: int = ...) -> None: ...

class ReshapeStaticLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def targetShape(self) -> MutableSequence[int]: ...
    def __init__(self, *, targetShape: Iterable[int] = ...) -> None: ...

class ReshapeLikeLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ReshapeDynamicLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class SqueezeLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def axes(self) -> MutableSequence[int]: ...
    squeezeAll: bool
    def __init__(self, *, axes: Iterable[int] = ..., squeezeAll: bool = ...) -> None: ...

class TopKLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    K: int
    useBottomK: bool
    def __init__(self, *, axis: int = ..., K: int = ..., useBottomK: bool = ...) -> None: ...

class ArgMaxLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    removeDim: bool
    def __init__(self, *, axis: int = ..., removeDim: bool = ...) -> None: ...

class ArgMinLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    removeDim: bool
    def __init__(self, *, axis: int = ..., removeDim: bool = ...) -> None: ...

class SplitNDLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    numSplits: int
    @property
    def splitSizes(self) -> MutableSequence[int]: ...
    def __init__(self, *, axis: int = ..., numSplits: int = ..., splitSizes: Iterable[int] = ...) -> None: ...

class CeilLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class RoundLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class FloorLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class SignLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ClipLayerParams(Message):
    DESCRIPTOR: Descriptor
    minVal: float
    maxVal: float
    def __init__(self, *, minVal: float = ..., maxVal: float = ...) -> None: ...

class SliceStaticLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def beginIds(self) -> MutableSequence[int]: ...
    @property
    def beginMasks(self) -> MutableSequence[bool]: ...
    @property
    def endIds(self) -> MutableSequence[int]: ...
    @property
    def endMasks(self) -> MutableSequence[bool]: ...
    @property
    def strides(self) -> MutableSequence[int]: ...
    @property
    def squeezeMasks(self) -> MutableSequence[bool]: ...
    def __init__(self, *, beginIds: Iterable[int] = ..., beginMasks: Iterable[bool] = ..., endIds: Iterable[int] = ..., endMasks: Iterable[bool] = ..., strides: Iterable[int] = ..., squeezeMasks: Iterable[bool] = ...) -> None: ...

class SliceDynamicLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def beginMasks(self) -> MutableSequence[bool]: ...
    @property
    def endIds(self) -> MutableSequence[int]: ...
    @property
    def endMasks(self) -> MutableSequence[bool]: ...
    @property
    def strides(self) -> MutableSequence[int]: ...
    @property
    def squeezeMasks(self) -> MutableSequence[bool]: ...
    def __init__(self, *, beginMasks: Iterable[bool] = ..., endIds: Iterable[int] = ..., endMasks: Iterable[bool] = ..., strides: Iterable[int] = ..., squeezeMasks: Iterable[bool] = ...) -> None: ...

class TileLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def reps(self) -> MutableSequence[int]: ...
    def __init__(self, *, reps: Iterable[int] = ...) -> None: ...

class GetShapeLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class ErfLayerParams(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class GeluLayerParams(Message):
    DESCRIPTOR: Descriptor
    class GeluMode:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        EXACT: ClassVar[int]
        TANH_APPROXIMATION: ClassVar[int]
        SIGMOID_APPROXIMATION: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    EXACT: int
    TANH_APPROXIMATION: int
    SIGMOID_APPROXIMATION: int

    mode: int
    def __init__(self, *, mode: int = ...) -> None: ...

class RangeStaticLayerParams(Message):
    DESCRIPTOR: Descriptor
    endValue: float
    startValue: float
    stepSizeValue: float
    def __init__(self, *, endValue: float = ..., startValue: float = ..., stepSizeValue: float = ...) -> None: ...

class RangeDynamicLayerParams(Message):
    DESCRIPTOR: Descriptor
    startValue: float
    stepSizeValue: float
    def __init__(self, *, startValue: float = ..., stepSizeValue: float = ...) -> None: ...

class SlidingWindowsLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    windowSize: int
    step: int
    def __init__(self, *, axis: int = ..., windowSize: int = ..., step: int = ...) -> None: ...

class LayerNormalizationLayerParams(Message):
    DESCRIPTOR: Descriptor
    @property
    def normalizedShape(self) -> MutableSequence[int]: ...
    eps: float
    @property
    def gamma(self) -> WeightParams: ...
    @property
    def beta(self) -> WeightParams: ...
    def __init__(self, *, normalizedShape: Iterable[int] = ..., eps: float = ..., gamma: WeightParams | None = ..., beta: WeightParams | None = ...) -> None: ...

class NonMaximumSuppressionLayerParams(Message):
    DESCRIPTOR: Descriptor
    iouThreshold: float
    scoreThreshold: float
    maxBoxes: int
    perClassSuppression: bool
    def __init__(self, *, iouThreshold: float = ..., scoreThreshold: float = ..., maxBoxes: int = ..., perClassSuppression: bool = ...) -> None: ...

class ClampedReLULayerParams(Message):
    DESCRIPTOR: Descriptor
    alpha: float
    beta: float
    def __init__(self, *, alpha: float = ..., beta: float = ...) -> None: ...

class ArgSortLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    descending: bool
    def __init__(self, *, axis: int = ..., descending: bool = ...) -> None: ...

class SliceBySizeLayerParams(Message):
    DESCRIPTOR: Descriptor
    size: int
    axis: int
    def __init__(self, *, size: int = ..., axis: int = ...) -> None: ...

class NeuralNetworkClassifier(Message):
    DESCRIPTOR: Descriptor
    @property
    def layers(self) -> _Messages[NeuralNetworkLayer]: ...
    @property
    def preprocessing(self) -> _Messages[NeuralNetworkPreprocessing]: ...
    arrayInputShapeMapping: int
    imageInputShapeMapping: int
    @property
    def updateParams(self) -> NetworkUpdateParameters: ...
    @property
    def stringClassLabels(self) -> StringVector: ...
    @property
    def int64ClassLabels(self) -> Int64Vector: ...
    labelProbabilityLayerName: str
    def __init__(self, *, layers: Iterable[NeuralNetworkLayer] = ..., preprocessing: Iterable[NeuralNetworkPreprocessing] = ..., arrayInputShapeMapping: int = ..., imageInputShapeMapping: int = ..., updateParams: NetworkUpdateParameters | None = ..., stringClassLabels: StringVector | None = ..., int64ClassLabels: Int64Vector | None = ..., labelProbabilityLayerName: str = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["ClassLabels"]) -> Literal["stringClassLabels", "int64ClassLabels"] | None: ...

class OneHotLayerParams(Message):
    DESCRIPTOR: Descriptor
    oneHotVectorSize: int
    axis: int
    onValue: float
    offValue: float
    def __init__(self, *, oneHotVectorSize: int = ..., axis: int = ..., onValue: float = ..., offValue: float = ...) -> None: ...

class CumSumLayerParams(Message):
    DESCRIPTOR: Descriptor
    axis: int
    excludeFinalSum: bool
    reverse: bool
    def __init__(self, *, axis: int = ..., excludeFinalSum: bool = ..., reverse: bool = ...) -> None: ...

class NeuralNetworkRegressor(Message):
    DESCRIPTOR: Descriptor
    @property
    def layers(self) -> _Messages[NeuralNetworkLayer]: ...
    @property
    def preprocessing(self) -> _Messages[NeuralNetworkPreprocessing]: ...
    arrayInputShapeMapping: int
    imageInputShapeMapping: int
    @property
    def updateParams(self) -> NetworkUpdateParameters: ...
    def __init__(self, *, layers: Iterable[NeuralNetworkLayer] = ..., preprocessing: Iterable[NeuralNetworkPreprocessing] = ..., arrayInputShapeMapping: int = ..., imageInputShapeMapping: int = ..., updateParams: NetworkUpdateParameters | None = ...) -> None: ...

class NetworkUpdateParameters(Message):
    DESCRIPTOR: Descriptor
    @property
    def lossLayers(self) -> _Messages[LossLayer]: ...
    @property
    def optimizer(self) -> Optimizer: ...
    @property
    def epochs(self) -> Int64Parameter: ...
    @property
    def shuffle(self) -> BoolParameter: ...
    @property
    def seed(self) -> Int64Parameter: ...
    def __init__(self, *, lossLayers: Iterable[LossLayer] = ..., optimizer: Optimizer | None = ..., epochs: Int64Parameter | None = ..., shuffle: BoolParameter | None = ..., seed: Int64Parameter | None = ...) -> None: ...

class LossLayer(Message):
    DESCRIPTOR: Descriptor
    name: str
    @property
    def categoricalCrossEntropyLossLayer(self) -> CategoricalCrossEntropyLossLayer: ...
    @property
    def meanSquaredErrorLossLayer(self) -> MeanSquaredErrorLossLayer: ...
    def __init__(self, *, name: str = ..., categoricalCrossEntropyLossLayer: CategoricalCrossEntropyLossLayer | None = ..., meanSquaredErrorLossLayer: MeanSquaredErrorLossLayer | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["LossLayerType"]) -> Literal["categoricalCrossEntropyLossLayer", "meanSquaredErrorLossLayer"] | None: ...

class CategoricalCrossEntropyLossLayer(Message):
    DESCRIPTOR: Descriptor
    input: str
    target: str
    def __init__(self, *, input: str = ..., target: str = ...) -> None: ...

class MeanSquaredErrorLossLayer(Message):
    DESCRIPTOR: Descriptor
    input: str
    target: str
    def __init__(self, *, input: str = ..., target: str = ...) -> None: ...

class Optimizer(Message):
    DESCRIPTOR: Descriptor
    @property
    def sgdOptimizer(self) -> SGDOptimizer: ...
    @property
    def adamOptimizer(self) -> AdamOptimizer: ...
    def __init__(self, *, sgdOptimizer: SGDOptimizer | None = ..., adamOptimizer: AdamOptimizer | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["OptimizerType"]) -> Literal["sgdOptimizer", "adamOptimizer"] | None: ...

class SGDOptimizer(Message):
    DESCRIPTOR: Descriptor
    @property
    def learningRate(self) -> DoubleParameter: ...
    @property
    def miniBatchSize(self) -> Int64Parameter: ...
    @property
    def momentum(self) -> DoubleParameter: ...
    def __init__(self, *, learningRate: DoubleParameter | None = ..., miniBatchSize: Int64Parameter | None = ..., momentum: DoubleParameter | None = ...) -> None: ...

class AdamOptimizer(Message):
    DESCRIPTOR: Descriptor
    @property
    def learningRate(self) -> DoubleParameter: ...
    @property
    def miniBatchSize(self) -> Int64Parameter: ...
    @property
    def beta1(self) -> DoubleParameter: ...
    @property
    def beta2(self) -> DoubleParameter: ...
    @property
    def eps(self) -> DoubleParameter: ...
    def __init__(self, *, learningRate: DoubleParameter | None = ..., miniBatchSize: Int64Parameter | None = ..., beta1: DoubleParameter | None = ..., beta2: DoubleParameter | None = ..., eps: DoubleParameter | None = ...) -> None: ...

class Normalizer(Message):
    DESCRIPTOR: Descriptor
    class NormType:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        LMax: ClassVar[int]
        L1: ClassVar[int]
        L2: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    LMax: int
    L1: int
    L2: int

    normType: int
    def __init__(self, *, normType: int = ...) -> None: ...

class OneHotEncoder(Message):
    DESCRIPTOR: Descriptor
    class HandleUnknown:
        DESCRIPTOR: ClassVar[EnumDescriptor]
        ErrorOnUnknown: ClassVar[int]
        IgnoreUnknown: ClassVar[int]
        @staticmethod
        def Name(number: int) -> str: ...
        @staticmethod
        def Value(name: str) -> int: ...
    ErrorOnUnknown: int
    IgnoreUnknown: int

    @property
    def stringCategories(self) -> StringVector: ...
    @property
    def int64Categories(self) -> Int64Vector: ...
    outputSparse: bool
    handleUnknown: int
    def __init__(self, *, stringCategories: StringVector | None = ..., int64Categories: Int64Vector | None = ..., outputSparse: bool = ..., handleUnknown: int = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["CategoryType"]) -> Literal["stringCategories", "int64Categories"] | None: ...

class Scaler(Message):
    DESCRIPTOR: Descriptor
    @property
    def shiftValue(self) -> MutableSequence[float]: ...
    @property
    def scaleValue(self) -> MutableSequence[float]: ...
    def __init__(self, *, shiftValue: Iterable[float] = ..., scaleValue: Iterable[float] = ...) -> None: ...

class NonMaximumSuppression(Message):
    DESCRIPTOR: Descriptor
    class PickTop(Message):
        DESCRIPTOR: Descriptor
        perClass: bool
        def __init__(self, *, perClass: bool = ...) -> None: ...

    @property
    def pickTop(self) -> NonMaximumSuppression.PickTop: ...
    @property
    def stringClassLabels(self) -> StringVector: ...
    @property
    def int64ClassLabels(self) -> Int64Vector: ...
    iouThreshold: float
    confidenceThreshold: float
    confidenceInputFeatureName: str
    coordinatesInputFeatureName: str
    iouThresholdInputFeatureName: str
    confidenceThresholdInputFeatureName: str
    confidenceOutputFeatureName: str
    coordinatesOutputFeatureName: str
    def __init__(self, *, pickTop: NonMaximumSuppression.PickTop | None = ..., stringClassLabels: StringVector | None = ..., int64ClassLabels: Int64Vector | None = ..., iouThreshold: float = ..., confidenceThreshold: float = ..., confidenceInputFeatureName: str = ..., coordinatesInputFeatureName: str = ..., iouThresholdInputFeatureName: str = ..., confidenceThresholdInputFeatureName: str = ..., confidenceOutputFeatureName: str = ..., coordinatesOutputFeatureName: str = ...) -> None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["SuppressionMethod"]) -> Literal["pickTop"] | None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["ClassLabels"]) -> Literal["stringClassLabels", "int64ClassLabels"] | None: ...

class LinearKernel(Message):
    DESCRIPTOR: Descriptor
    def __init__(self) -> None: ...

class RBFKernel(Message):
    DESCRIPTOR: Descriptor
    gamma: float
    def __init__(self, *, gamma: float = ...) -> None: ...

class PolyKernel(Message):
    DESCRIPTOR: Descriptor
    degree: int
    c: float
    gamma: float
    def __init__(self, *, degree: int = ..., c: float = ..., gamma: float = ...) -> None: ...

class SigmoidKernel(Message):
    DESCRIPTOR: Descriptor
    gamma: float
    c: float
    def __init__(self, *, gamma: float = ..., c: float = ...) -> None: ...

class Kernel(Message):
    DESCRIPTOR: Descriptor
    @property
    def linearKernel(self) -> LinearKernel: ...
    @property
    def rbfKernel(self) -> RBFKernel: ...
    @property
    def polyKernel(self) -> PolyKernel: ...
    @property
    def sigmoidKernel(self) -> SigmoidKernel: ...
    def __init__(self, *, linearKernel: LinearKernel | None = ..., rbfKernel: RBFKernel | None = ..., polyKernel: PolyKernel | None = ..., sigmoidKernel: SigmoidKernel | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["kernel"]) -> Literal["linearKernel", "rbfKernel", "polyKernel", "sigmoidKernel"] | None: ...

class SparseNode(Message):
    DESCRIPTOR: Descriptor
    index: int
    value: float
    def __init__(self, *, index: int = ..., value: float = ...) -> None: ...

class SparseVector(Message):
    DESCRIPTOR: Descriptor
    @property
    def nodes(self) -> _Messages[SparseNode]: ...
    def __init__(self, *, nodes: Iterable[SparseNode] = ...) -> None: ...

class SparseSupportVectors(Message):
    DESCRIPTOR: Descriptor
    @property
    def vectors(self) -> _Messages[SparseVector]: ...
    def __init__(self, *, vectors: Iterable[SparseVector] = ...) -> None: ...

class DenseVector(Message):
    DESCRIPTOR: Descriptor
    @property
    def values(self) -> MutableSequence[float]: ...
    def __init__(self, *, values: Iterable[float] = ...) -> None: ...

class DenseSupportVectors(Message):
    DESCRIPTOR: Descriptor
    @property
    def vectors(self) -> _Messages[DenseVector]: ...
    def __init__(self, *, vectors: Iterable[DenseVector] = ...) -> None: ...

class Coefficients(Message):
    DESCRIPTOR: Descriptor
    @property
    def alpha(self) -> MutableSequence[float]: ...
    def __init__(self, *, alpha: Iterable[float] = ...) -> None: ...

class SupportVectorRegressor(Message):
    DESCRIPTOR: Descriptor
    @property
    def kernel(self) -> Kernel: ...
    @property
    def sparseSupportVectors(self) -> SparseSupportVectors: ...
    @property
    def denseSupportVectors(self) -> DenseSupportVectors: ...
    @property
    def coefficients(self) -> Coefficients: ...
    rho: float
    def __init__(self, *, kernel: Kernel | None = ..., sparseSupportVectors: SparseSupportVectors | None = ..., denseSupportVectors: DenseSupportVectors | None = ..., coefficients: Coefficients | None = ..., rho: float = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["supportVectors"]) -> Literal["sparseSupportVectors", "denseSupportVectors"] | None: ...

class SupportVectorClassifier(Message):
    DESCRIPTOR: Descriptor
    @property
    def kernel(self) -> Kernel: ...
    @property
    def numberOfSupportVectorsPerClass(self) -> MutableSequence[int]: ...
    @property
    def sparseSupportVectors(self) -> SparseSupportVectors: ...
    @property
    def denseSupportVectors(self) -> DenseSupportVectors: ...
    @property
    def coefficients(self) -> _Messages[Coefficients]: ...
    @property
    def rho(self) -> MutableSequence[float]: ...
    @property
    def probA(self) -> MutableSequence[float]: ...
    @property
    def probB(self) -> MutableSequence[float]: ...
    @property
    def stringClassLabels(self) -> StringVector: ...
    @property
    def int64ClassLabels(self) -> Int64Vector: ...
    def __init__(self, *, kernel: Kernel | None = ..., numberOfSupportVectorsPerClass: Iterable[int] = ..., sparseSupportVectors: SparseSupportVectors | None = ..., denseSupportVectors: DenseSupportVectors | None = ..., coefficients: Iterable[Coefficients] = ..., rho: Iterable[float] = ..., probA: Iterable[float] = ..., probB: Iterable[float] = ..., stringClassLabels: StringVector | None = ..., int64ClassLabels: Int64Vector | None = ...) -> None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["supportVectors"]) -> Literal["sparseSupportVectors", "denseSupportVectors"] | None: ...
    @overload
    def WhichOneof(self, oneof_group: Literal["ClassLabels"]) -> Literal["stringClassLabels", "int64ClassLabels"] | None: ...

class TreeEnsemblePostEvaluationTransform:
    DESCRIPTOR: ClassVar[EnumDescriptor]
    NoTransform: ClassVar[int]
    Classification_SoftMax: ClassVar[int]
    Regression_Logistic: ClassVar[int]
    Classification_SoftMaxWithZeroClassReference: ClassVar[int]
    @staticmethod
    def Name(number: int) -> str: ...
    @staticmethod
    def Value(name: str) -> int: ...
NoTransform: int
Classification_SoftMax: int
Regression_Logistic: int
Classification_SoftMaxWithZeroClassReference: int

class TreeEnsembleParameters(Message):
    DESCRIPTOR: Descriptor
    class TreeNode(Message):
        DESCRIPTOR: Descriptor
        class TreeNodeBehavior:
            DESCRIPTOR: ClassVar[EnumDescriptor]
            BranchOnValueLessThanEqual: ClassVar[int]
            BranchOnValueLessThan: ClassVar[int]
            BranchOnValueGreaterThanEqual: ClassVar[int]
            BranchOnValueGreaterThan: ClassVar[int]
            BranchOnValueEqual: ClassVar[int]
            BranchOnValueNotEqual: ClassVar[int]
            LeafNode: ClassVar[int]
            @staticmethod
            def Name(number: int) -> str: ...
            @staticmethod
            def Value(name: str) -> int: ...
        BranchOnValueLessThanEqual: int
        BranchOnValueLessThan: int
        BranchOnValueGreaterThanEqual: int
        BranchOnValueGreaterThan: int
        BranchOnValueEqual: int
        BranchOnValueNotEqual: int
        LeafNode: int

        class EvaluationInfo(Message):
            DESCRIPTOR: Descriptor
            evaluationIndex: int
            evaluationValue: float
            def __init__(self, *, evaluationIndex: int = ..., evaluationValue: float = ...) -> None: ...

        treeId: int
        nodeId: int
        nodeBehavior: int
        branchFeatureIndex: int
        branchFeatureValue: float
        trueChildNodeId: int
        falseChildNodeId: int
        missingValueTracksTrueChild: bool
        @property
        def evaluationInfo(self) -> _Messages[TreeEnsembleParameters.TreeNode.EvaluationInfo]: ...
        relativeHitRate: float
        def __init__(self, *, treeId: int = ..., nodeId: int = ..., nodeBehavior: int = ..., branchFeatureIndex: int = ..., branchFeatureValue: float = ..., trueChildNodeId: int = ..., falseChildNodeId: int = ..., missingValueTracksTrueChild: bool = ..., evaluationInfo: Iterable[TreeEnsembleParameters.TreeNode.EvaluationInfo] = ..., relativeHitRate: float = ...) -> None: ...

    @property
    def nodes(self) -> _Messages[TreeEnsembleParameters.TreeNode]: ...
    numPredictionDimensions: int
    @property
    def basePredictionValue(self) -> MutableSequence[float]: ...
    def __init__(self, *, nodes: Iterable[TreeEnsembleParameters.TreeNode] = ..., numPredictionDimensions: int = ..., basePredictionValue: Iterable[float] = ...) -> None: ...

class TreeEnsembleClassifier(Message):
    DESCRIPTOR: Descriptor
    @property
    def treeEnsemble(self) -> TreeEnsembleParameters: ...
    postEvaluationTransform: int
    @property
    def stringClassLabels(self) -> StringVector: ...
    @property
    def int64ClassLabels(self) -> Int64Vector: ...
    def __init__(self, *, treeEnsemble: TreeEnsembleParameters | None = ..., postEvaluationTransform: int = ..., stringClassLabels: StringVector | None = ..., int64ClassLabels: Int64Vector | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["ClassLabels"]) -> Literal["stringClassLabels", "int64ClassLabels"] | None: ...

class TreeEnsembleRegressor(Message):
    DESCRIPTOR: Descriptor
    @property
    def treeEnsemble(self) -> TreeEnsembleParameters: ...
    postEvaluationTransform: int
    def __init__(self, *, treeEnsemble: TreeEnsembleParameters | None = ..., postEvaluationTransform: int = ...) -> None: ...

class Pipeline(Message):
    DESCRIPTOR: Descriptor
    @property
    def models(self) -> _Messages[Model]: ...
    @property
    def names(self) -> MutableSequence[str]: ...
    def __init__(self, *, models: Iterable[Model] = ..., names: Iterable[str] = ...) -> None: ...

class PipelineClassifier(Message):
    DESCRIPTOR: Descriptor
    @property
    def pipeline(self) -> Pipeline: ...
    def __init__(self, *, pipeline: Pipeline | None = ...) -> None: ...

class PipelineRegressor(Message):
    DESCRIPTOR: Descriptor
    @property
    def pipeline(self) -> Pipeline: ...
    def __init__(self, *, pipeline: Pipeline | None = ...) -> None: ...

class FeatureDescription(Message):
    DESCRIPTOR: Descriptor
    name: str
    shortDescription: str
    @property
    def type(self) -> FeatureType: ...
    def __init__(self, *, name: str = ..., shortDescription: str = ..., type: FeatureType | None = ...) -> None: ...

class Metadata(Message):
    DESCRIPTOR: Descriptor
    shortDescription: str
    versionString: str
    author: str
    license: str
    @property
    def userDefined(self) -> MutableMapping[str, str]: ...
    def __init__(self, *, shortDescription: str = ..., versionString: str = ..., author: str = ..., license: str = ..., userDefined: Mapping[str, str] = ...) -> None: ...

class FunctionDescription(Message):
    DESCRIPTOR: Descriptor
    name: str
    @property
    def input(self) -> _Messages[FeatureDescription]: ...
    @property
    def output(self) -> _Messages[FeatureDescription]: ...
    @property
    def state(self) -> _Messages[FeatureDescription]: ...
    predictedFeatureName: str
    predictedProbabilitiesName: str
    def __init__(self, *, name: str = ..., input: Iterable[FeatureDescription] = ..., output: Iterable[FeatureDescription] = ..., state: Iterable[FeatureDescription] = ..., predictedFeatureName: str = ..., predictedProbabilitiesName: str = ...) -> None: ...

class ModelDescription(Message):
    DESCRIPTOR: Descriptor
    @property
    def functions(self) -> _Messages[FunctionDescription]: ...
    defaultFunctionName: str
    @property
    def metadata(self) -> Metadata: ...
    @property
    def input(self) -> _Messages[FeatureDescription]: ...
    @property
    def output(self) -> _Messages[FeatureDescription]: ...
    @property
    def state(self) -> _Messages[FeatureDescription]: ...
    predictedFeatureName: str
    predictedProbabilitiesName: str
    @property
    def trainingInput(self) -> _Messages[FeatureDescription]: ...
    def __init__(self, *, functions: Iterable[FunctionDescription] = ..., defaultFunctionName: str = ..., metadata: Metadata | None = ..., input: Iterable[FeatureDescription] = ..., output: Iterable[FeatureDescription] = ..., state: Iterable[FeatureDescription] = ..., predictedFeatureName: str = ..., predictedProbabilitiesName: str = ..., trainingInput: Iterable[FeatureDescription] = ...) -> None: ...

class SerializedModel(Message):
    DESCRIPTOR: Descriptor
    identifier: str
    model: bytes
    def __init__(self, *, identifier: str = ..., model: bytes = ...) -> None: ...

class Model(Message):
    DESCRIPTOR: Descriptor
    specificationVersion: int
    @property
    def description(self) -> ModelDescription: ...
    isUpdatable: bool
    @property
    def pipelineClassifier(self) -> PipelineClassifier: ...
    @property
    def pipelineRegressor(self) -> PipelineRegressor: ...
    @property
    def pipeline(self) -> Pipeline: ...
    @property
    def glmRegressor(self) -> GLMRegressor: ...
    @property
    def supportVectorRegressor(self) -> SupportVectorRegressor: ...
    @property
    def treeEnsembleRegressor(self) -> TreeEnsembleRegressor: ...
    @property
    def neuralNetworkRegressor(self) -> NeuralNetworkRegressor: ...
    @property
    def bayesianProbitRegressor(self) -> BayesianProbitRegressor: ...
    @property
    def glmClassifier(self) -> GLMClassifier: ...
    @property
    def supportVectorClassifier(self) -> SupportVectorClassifier: ...
    @property
    def treeEnsembleClassifier(self) -> TreeEnsembleClassifier: ...
    @property
    def neuralNetworkClassifier(self) -> NeuralNetworkClassifier: ...
    @property
    def kNearestNeighborsClassifier(self) -> KNearestNeighborsClassifier: ...
    @property
    def neuralNetwork(self) -> NeuralNetwork: ...
    @property
    def itemSimilarityRecommender(self) -> ItemSimilarityRecommender: ...
    @property
    def mlProgram(self) -> MILSpec.Program: ...
    @property
    def customModel(self) -> CustomModel: ...
    @property
    def linkedModel(self) -> LinkedModel: ...
    @property
    def classConfidenceThresholding(self) -> ClassConfidenceThresholding: ...
    @property
    def oneHotEncoder(self) -> OneHotEncoder: ...
    @property
    def imputer(self) -> Imputer: ...
    @property
    def featureVectorizer(self) -> FeatureVectorizer: ...
    @property
    def dictVectorizer(self) -> DictVectorizer: ...
    @property
    def scaler(self) -> Scaler: ...
    @property
    def categoricalMapping(self) -> CategoricalMapping: ...
    @property
    def normalizer(self) -> Normalizer: ...
    @property
    def arrayFeatureExtractor(self) -> ArrayFeatureExtractor: ...
    @property
    def nonMaximumSuppression(self) -> NonMaximumSuppression: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def textClassifier(self) -> CoreMLModels.TextClassifier: ...
    @property
    def wordTagger(self) -> CoreMLModels.WordTagger: ...
    @property
    def visionFeaturePrint(self) -> CoreMLModels.VisionFeaturePrint: ...
    @property
    def soundAnalysisPreprocessing(self) -> CoreMLModels.SoundAnalysisPreprocessing: ...
    @property
    def gazetteer(self) -> CoreMLModels.Gazetteer: ...
    @property
    def wordEmbedding(self) -> CoreMLModels.WordEmbedding: ...
    @property
    def audioFeaturePrint(self) -> CoreMLModels.AudioFeaturePrint: ...
    @property
    def serializedModel(self) -> SerializedModel: ...
    def __init__(self, *, specificationVersion: int = ..., description: ModelDescription | None = ..., isUpdatable: bool = ..., pipelineClassifier: PipelineClassifier | None = ..., pipelineRegressor: PipelineRegressor | None = ..., pipeline: Pipeline | None = ..., glmRegressor: GLMRegressor | None = ..., supportVectorRegressor: SupportVectorRegressor | None = ..., treeEnsembleRegressor: TreeEnsembleRegressor | None = ..., neuralNetworkRegressor: NeuralNetworkRegressor | None = ..., bayesianProbitRegressor: BayesianProbitRegressor | None = ..., glmClassifier: GLMClassifier | None = ..., supportVectorClassifier: SupportVectorClassifier | None = ..., treeEnsembleClassifier: TreeEnsembleClassifier | None = ..., neuralNetworkClassifier: NeuralNetworkClassifier | None = ..., kNearestNeighborsClassifier: KNearestNeighborsClassifier | None = ..., neuralNetwork: NeuralNetwork | None = ..., itemSimilarityRecommender: ItemSimilarityRecommender | None = ..., mlProgram: MILSpec.Program | None = ..., customModel: CustomModel | None = ..., linkedModel: LinkedModel | None = ..., classConfidenceThresholding: ClassConfidenceThresholding | None = ..., oneHotEncoder: OneHotEncoder | None = ..., imputer: Imputer | None = ..., featureVectorizer: FeatureVectorizer | None = ..., dictVectorizer: DictVectorizer | None = ..., scaler: Scaler | None = ..., categoricalMapping: CategoricalMapping | None = ..., normalizer: Normalizer | None = ..., arrayFeatureExtractor: ArrayFeatureExtractor | None = ..., nonMaximumSuppression: NonMaximumSuppression | None = ..., identity: Identity | None = ..., textClassifier: CoreMLModels.TextClassifier | None = ..., wordTagger: CoreMLModels.WordTagger | None = ..., visionFeaturePrint: CoreMLModels.VisionFeaturePrint | None = ..., soundAnalysisPreprocessing: CoreMLModels.SoundAnalysisPreprocessing | None = ..., gazetteer: CoreMLModels.Gazetteer | None = ..., wordEmbedding: CoreMLModels.WordEmbedding | None = ..., audioFeaturePrint: CoreMLModels.AudioFeaturePrint | None = ..., serializedModel: SerializedModel | None = ...) -> None: ...
    def WhichOneof(self, oneof_group: Literal["Type"]) -> Literal["pipelineClassifier", "pipelineRegressor", "pipeline", "glmRegressor", "supportVectorRegressor", "treeEnsembleRegressor", "neuralNetworkRegressor", "bayesianProbitRegressor", "glmClassifier", "supportVectorClassifier", "treeEnsembleClassifier", "neuralNetworkClassifier", "kNearestNeighborsClassifier", "neuralNetwork", "itemSimilarityRecommender", "mlProgram", "customModel", "linkedModel", "classConfidenceThresholding", "oneHotEncoder", "imputer", "featureVectorizer", "dictVectorizer", "scaler", "categoricalMapping", "normalizer", "arrayFeatureExtractor", "nonMaximumSuppression", "identity", "textClassifier", "wordTagger", "visionFeaturePrint", "soundAnalysisPreprocessing", "gazetteer", "wordEmbedding", "audioFeaturePrint", "serializedModel"] | None: ...
