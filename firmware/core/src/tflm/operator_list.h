// SPDX-License-Identifier: Apache-2.0
// Every operator that a TFLM may have: its name, as in TFLite's schema or as the code of a custom
// operator, and the member of MicroMutableOpResolver that registers it. What the TFLM at hand lacks
// is left out at compile time (operators.h). Only ETHOSU is missing: it runs on a processor of its
// own.
//
// Source: tensorflow/lite/micro/micro_mutable_op_resolver.h of esp-tflite-micro 1.4.0, which holds
// all that tflite-micro-arduino-examples and Chirale_TensorFlowLite 2.0.0 have.
#ifndef PYTEST_TFLM_TFLM_OPERATOR_LIST_H_
#define PYTEST_TFLM_TFLM_OPERATOR_LIST_H_

// clang-format off
#define PYTEST_TFLM_BUILTIN_OPERATORS(X)                                                          \
  X("ABS", AddAbs)                                                                                \
  X("ADD", AddAdd)                                                                                \
  X("ADD_N", AddAddN)                                                                             \
  X("ARG_MAX", AddArgMax)                                                                         \
  X("ARG_MIN", AddArgMin)                                                                         \
  X("ASSIGN_VARIABLE", AddAssignVariable)                                                         \
  X("AVERAGE_POOL_2D", AddAveragePool2D)                                                          \
  X("BATCH_MATMUL", AddBatchMatMul)                                                               \
  X("BATCH_TO_SPACE_ND", AddBatchToSpaceNd)                                                       \
  X("BROADCAST_ARGS", AddBroadcastArgs)                                                           \
  X("BROADCAST_TO", AddBroadcastTo)                                                               \
  X("CALL_ONCE", AddCallOnce)                                                                     \
  X("CAST", AddCast)                                                                              \
  X("CEIL", AddCeil)                                                                              \
  X("CONCATENATION", AddConcatenation)                                                            \
  X("CONV_2D", AddConv2D)                                                                         \
  X("COS", AddCos)                                                                                \
  X("CUMSUM", AddCumSum)                                                                          \
  X("DEPTHWISE_CONV_2D", AddDepthwiseConv2D)                                                      \
  X("DEPTH_TO_SPACE", AddDepthToSpace)                                                            \
  X("DEQUANTIZE", AddDequantize)                                                                  \
  X("DIV", AddDiv)                                                                                \
  X("DYNAMIC_UPDATE_SLICE", AddDynamicUpdateSlice)                                                \
  X("ELU", AddElu)                                                                                \
  X("EMBEDDING_LOOKUP", AddEmbeddingLookup)                                                       \
  X("EQUAL", AddEqual)                                                                            \
  X("EXP", AddExp)                                                                                \
  X("EXPAND_DIMS", AddExpandDims)                                                                 \
  X("FILL", AddFill)                                                                              \
  X("FLOOR", AddFloor)                                                                            \
  X("FLOOR_DIV", AddFloorDiv)                                                                     \
  X("FLOOR_MOD", AddFloorMod)                                                                     \
  X("FULLY_CONNECTED", AddFullyConnected)                                                         \
  X("GATHER", AddGather)                                                                          \
  X("GATHER_ND", AddGatherNd)                                                                     \
  X("GREATER", AddGreater)                                                                        \
  X("GREATER_EQUAL", AddGreaterEqual)                                                             \
  X("HARD_SWISH", AddHardSwish)                                                                   \
  X("IF", AddIf)                                                                                  \
  X("L2_NORMALIZATION", AddL2Normalization)                                                       \
  X("L2_POOL_2D", AddL2Pool2D)                                                                    \
  X("LEAKY_RELU", AddLeakyRelu)                                                                   \
  X("LESS", AddLess)                                                                              \
  X("LESS_EQUAL", AddLessEqual)                                                                   \
  X("LOG", AddLog)                                                                                \
  X("LOGICAL_AND", AddLogicalAnd)                                                                 \
  X("LOGICAL_NOT", AddLogicalNot)                                                                 \
  X("LOGICAL_OR", AddLogicalOr)                                                                   \
  X("LOGISTIC", AddLogistic)                                                                      \
  X("LOG_SOFTMAX", AddLogSoftmax)                                                                 \
  X("MAXIMUM", AddMaximum)                                                                        \
  X("MAX_POOL_2D", AddMaxPool2D)                                                                  \
  X("MEAN", AddMean)                                                                              \
  X("MINIMUM", AddMinimum)                                                                        \
  X("MIRROR_PAD", AddMirrorPad)                                                                   \
  X("MUL", AddMul)                                                                                \
  X("NEG", AddNeg)                                                                                \
  X("NOT_EQUAL", AddNotEqual)                                                                     \
  X("PACK", AddPack)                                                                              \
  X("PAD", AddPad)                                                                                \
  X("PADV2", AddPadV2)                                                                            \
  X("PRELU", AddPrelu)                                                                            \
  X("QUANTIZE", AddQuantize)                                                                      \
  X("READ_VARIABLE", AddReadVariable)                                                             \
  X("REDUCE_ALL", AddReduceAll)                                                                   \
  X("REDUCE_MAX", AddReduceMax)                                                                   \
  X("REDUCE_MIN", AddReduceMin)                                                                   \
  X("RELU", AddRelu)                                                                              \
  X("RELU6", AddRelu6)                                                                            \
  X("RESHAPE", AddReshape)                                                                        \
  X("RESIZE_BILINEAR", AddResizeBilinear)                                                         \
  X("RESIZE_NEAREST_NEIGHBOR", AddResizeNearestNeighbor)                                          \
  X("REVERSE_V2", AddReverseV2)                                                                   \
  X("ROUND", AddRound)                                                                            \
  X("RSQRT", AddRsqrt)                                                                            \
  X("SELECT_V2", AddSelectV2)                                                                     \
  X("SHAPE", AddShape)                                                                            \
  X("SIN", AddSin)                                                                                \
  X("SLICE", AddSlice)                                                                            \
  X("SOFTMAX", AddSoftmax)                                                                        \
  X("SPACE_TO_BATCH_ND", AddSpaceToBatchNd)                                                       \
  X("SPACE_TO_DEPTH", AddSpaceToDepth)                                                            \
  X("SPLIT", AddSplit)                                                                            \
  X("SPLIT_V", AddSplitV)                                                                         \
  X("SQRT", AddSqrt)                                                                              \
  X("SQUARE", AddSquare)                                                                          \
  X("SQUARED_DIFFERENCE", AddSquaredDifference)                                                   \
  X("SQUEEZE", AddSqueeze)                                                                        \
  X("STRIDED_SLICE", AddStridedSlice)                                                             \
  X("SUB", AddSub)                                                                                \
  X("SUM", AddSum)                                                                                \
  X("SVDF", AddSvdf)                                                                              \
  X("TANH", AddTanh)                                                                              \
  X("TRANSPOSE", AddTranspose)                                                                    \
  X("TRANSPOSE_CONV", AddTransposeConv)                                                           \
  X("UNIDIRECTIONAL_SEQUENCE_LSTM", AddUnidirectionalSequenceLSTM)                                \
  X("UNPACK", AddUnpack)                                                                          \
  X("VAR_HANDLE", AddVarHandle)                                                                   \
  X("WHILE", AddWhile)                                                                            \
  X("ZEROS_LIKE", AddZerosLike)

#define PYTEST_TFLM_CUSTOM_OPERATORS(X)                                                           \
  X("CIRCULAR_BUFFER", AddCircularBuffer)                                                         \
  X("SignalDelay", AddDelay)                                                                      \
  X("SignalEnergy", AddEnergy)                                                                    \
  X("SignalFftAutoScale", AddFftAutoScale)                                                        \
  X("SignalFilterBank", AddFilterBank)                                                            \
  X("SignalFilterBankLog", AddFilterBankLog)                                                      \
  X("SignalFilterBankSpectralSubtraction", AddFilterBankSpectralSubtraction)                      \
  X("SignalFilterBankSquareRoot", AddFilterBankSquareRoot)                                        \
  X("SignalFramer", AddFramer)                                                                    \
  X("SignalIrfft", AddIrfft)                                                                      \
  X("SignalOverlapAdd", AddOverlapAdd)                                                            \
  X("SignalPCAN", AddPCAN)                                                                        \
  X("SignalRfft", AddRfft)                                                                        \
  X("SignalStacker", AddStacker)                                                                  \
  X("SignalWindow", AddWindow)                                                                    \
  X("TFLM_DECODE", AddDecode)                                                                     \
  X("TFLite_Detection_PostProcess", AddDetectionPostprocess)
// clang-format on

#endif  // PYTEST_TFLM_TFLM_OPERATOR_LIST_H_
