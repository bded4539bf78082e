# The preset `fuzz` needs a clang with libFuzzer and with coroutines that GCC's library accepts: 16 or newer.
find_program(MIMEO_CLANGXX NAMES clang++-21 clang++-20 clang++-19 clang++-18 clang++-17 clang++-16 clang++)
if(NOT MIMEO_CLANGXX)
  message(FATAL_ERROR "no clang: scripts/install-deps")
endif()
set(CMAKE_CXX_COMPILER ${MIMEO_CLANGXX})
