# The same tests for a Cortex-M4F, run by CTest in QEMU; what they print and how they end comes out
# by semihosting. With Debian's gcc-arm-none-eabi, libstdc++-arm-none-eabi-newlib and
# qemu-system-arm:
#
#   cmake -S . -B build/cortex-m4 -DPYTEST_TFLM_TESTS=ON \
#         -DCMAKE_TOOLCHAIN_FILE=tests/firmware/cortex_m4/toolchain.cmake
#   cmake --build build/cortex-m4 && ctest --test-dir build/cortex-m4 --output-on-failure
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_EXECUTABLE_SUFFIX_CXX .elf)

set(CMAKE_CXX_FLAGS_INIT "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 \
-ffunction-sections -fdata-sections")
# As firmware is optimised, not as the host's tests are.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-Os -g" CACHE STRING "")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-specs=rdimon.specs -Wl,--gc-sections")

set(CMAKE_CROSSCOMPILING_EMULATOR
    qemu-system-arm -M mps2-an386 -display none -monitor none -serial none
    -semihosting-config enable=on,target=native -kernel)
