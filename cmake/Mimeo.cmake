# The few functions that every CMakeLists.txt of ours uses:
#
#   mimeo_library(NAME SOURCES a.cc b.cc LINK x y)   one module's static library, `mimeo_NAME`
#   mimeo_program(NAME SOURCES main.cc LINK x)       an executable called NAME
#   mimeo_daemon(NAME SOURCES main.cc LINK x)        the same, for a long-lived process: with jemalloc
#   mimeo_tests(SOURCES a_test.cc b_pgtest.cc LINK x)  one program per file; labels by suffix
#   mimeo_benchmark(NAME SOURCES a_benchmark.cc LINK x)
#   mimeo_module(NAME SOURCES ... TESTS ... BENCHMARKS ... LINK ... TEST_LINK ...)  all of it at once
#   mimeo_proto(NAME [GRPC] PROTOS a.proto LINK x)   generated code, outside our warning flags

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Paths relative to the build folder let several checkouts share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

add_library(mimeo_options INTERFACE)  # Linked PRIVATE by our targets only, never by generated code.
target_compile_options(mimeo_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
                                               $<$<BOOL:${MIMEO_WERROR}>:-Werror>)
# GCC 12 takes Asio's own allocation of coroutine frames for a mismatch when it inlines.
target_compile_options(mimeo_options INTERFACE $<$<NOT:$<CONFIG:Debug>>:-Wno-mismatched-new-delete>)
target_compile_definitions(mimeo_options INTERFACE BOOST_ASIO_NO_DEPRECATED)
target_include_directories(mimeo_options INTERFACE ${PROJECT_SOURCE_DIR})
if(MIMEO_SANITIZE)
  add_compile_options(-fsanitize=${MIMEO_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${MIMEO_SANITIZE})
  if(MIMEO_SANITIZE STREQUAL thread)
    add_compile_options(-Wno-tsan)  # Asio's atomic_thread_fence.
  endif()
endif()

function(mimeo_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_library(mimeo_${name} STATIC ${A_SOURCES})
  target_link_libraries(mimeo_${name} PRIVATE mimeo_options PUBLIC ${A_LINK})
  target_include_directories(mimeo_${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()

function(mimeo_program name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE mimeo_options ${A_LINK})
endfunction()

# glibc's allocator took a sixth of the CPU time of a prediction (docs/performance.md). Sanitizers bring their own.
function(mimeo_daemon name)
  mimeo_program(${name} ${ARGN})
  if(NOT MIMEO_SANITIZE)
    target_link_libraries(${name} PRIVATE PkgConfig::jemalloc)
  endif()
endfunction()

function(mimeo_tests)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  foreach(source ${A_SOURCES})
    get_filename_component(stem ${source} NAME_WE)
    file(RELATIVE_PATH dir ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
    string(REPLACE "/" "_" prefix ${dir})
    set(name ${prefix}_${stem})  # Two modules may both have a config_test.cc.
    mimeo_program(${name} SOURCES ${source} LINK ${A_LINK} GTest::gtest GTest::gtest_main)
    string(REGEX MATCH "_(pg|docker|gpu|root|s3)?test$" suffix ${stem})
    string(REGEX REPLACE "^_|test$" "" label "${suffix}")
    if(NOT label)
      set(label unit)
    endif()
    if(label STREQUAL "unit")
      gtest_discover_tests(${name} TEST_PREFIX "${dir}/" DISCOVERY_MODE PRE_TEST
                           PROPERTIES LABELS unit TIMEOUT 60)
    else()
      # One CTest entry a program: such programs start a server of their own, once.
      add_test(NAME ${dir}/${stem} COMMAND ${name})
      set_tests_properties(${dir}/${stem} PROPERTIES LABELS ${label} TIMEOUT 300)
    endif()
  endforeach()
endfunction()

function(mimeo_benchmark name)
  if(NOT MIMEO_BENCHMARKS OR NOT benchmark_FOUND)
    return()
  endif()
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  mimeo_program(${name} SOURCES ${A_SOURCES} LINK ${A_LINK} benchmark::benchmark_main)
endfunction()

function(mimeo_module name)
  cmake_parse_arguments(A "" "" "SOURCES;TESTS;BENCHMARKS;LINK;TEST_LINK" ${ARGN})
  mimeo_library(${name} SOURCES ${A_SOURCES} LINK ${A_LINK})
  if(A_TESTS)
    mimeo_tests(SOURCES ${A_TESTS} LINK mimeo_${name} ${A_TEST_LINK})
  endif()
  foreach(source ${A_BENCHMARKS})
    get_filename_component(stem ${source} NAME_WE)
    mimeo_benchmark(${name}_${stem} SOURCES ${source} LINK mimeo_${name} ${A_TEST_LINK})
  endforeach()
endfunction()

function(mimeo_proto name)
  cmake_parse_arguments(A "GRPC" "" "PROTOS;LINK" ${ARGN})
  set(gen ${PROJECT_BINARY_DIR}/gen)
  file(MAKE_DIRECTORY ${gen})
  set(srcs)
  foreach(p ${A_PROTOS})
    file(RELATIVE_PATH rel ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/${p})
    string(REGEX REPLACE "\\.proto$" "" base ${rel})
    set(out ${gen}/${base}.pb.cc ${gen}/${base}.pb.h)
    set(args --cpp_out=${gen})
    if(A_GRPC)
      list(APPEND out ${gen}/${base}.grpc.pb.cc ${gen}/${base}.grpc.pb.h)
      list(APPEND args --grpc_out=${gen} --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
    endif()
    add_custom_command(OUTPUT ${out} COMMAND protobuf::protoc -I${PROJECT_SOURCE_DIR} ${args} ${rel}
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} DEPENDS ${PROJECT_SOURCE_DIR}/${rel} protobuf::protoc VERBATIM)
    list(APPEND srcs ${out})
  endforeach()
  add_library(${name} STATIC ${srcs})
  target_include_directories(${name} SYSTEM PUBLIC ${gen})  # SYSTEM: -Werror leaves generated headers alone.
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf ${A_LINK} $<$<BOOL:${A_GRPC}>:gRPC::grpc++>)
endfunction()

include(GoogleTest)
