# Helpers shared by every folder: flags, libraries, programs, tests.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json REQUIRED)

add_library(vnvme_flags INTERFACE)
target_compile_options(vnvme_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough -Wundef
  -fstack-protector-strong -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # Asio makes coroutine frames by aligned_alloc and frees them by free; g++ 12 sees one half of that at -O2.
  target_compile_options(vnvme_flags INTERFACE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-Wno-mismatched-new-delete>)
endif()
target_compile_definitions(vnvme_flags INTERFACE
  VNVME_VERSION="${PROJECT_VERSION}"
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE
  JSON_USE_IMPLICIT_CONVERSIONS=0)
target_include_directories(vnvme_flags INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(vnvme_flags INTERFACE Boost::headers nlohmann_json::nlohmann_json Threads::Threads)
if(VNVME_SANITIZE)
  target_compile_options(vnvme_flags INTERFACE -fsanitize=${VNVME_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(vnvme_flags INTERFACE -fsanitize=${VNVME_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang AND VNVME_SANITIZE MATCHES undefined)
    # clang 14 reports coroutine frames as calls through a wrong function type
    target_compile_options(vnvme_flags INTERFACE -fno-sanitize=function)
  endif()
endif()

# vnvme_timeout(TEST SECONDS): how long ctest waits for it. Sanitizers make programs 2 to 15 times slower (TSan on
# coroutines is the worst), and no test measures time: so the limit moves, not the test.
function(vnvme_timeout name seconds)
  if(VNVME_SANITIZE)
    math(EXPR seconds "${seconds} * 5")
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${seconds})
endfunction()

# The headers that cost seconds a file, parsed once for the whole build.
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/pch_anchor.cpp CONTENT "// carries the precompiled header\n")
add_library(vnvme_pch OBJECT ${CMAKE_BINARY_DIR}/pch_anchor.cpp)
target_link_libraries(vnvme_pch PRIVATE vnvme_flags)
target_precompile_headers(vnvme_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.hpp)

# vnvme_library(NAME DEPS lib...): all .cpp of this folder (not of subfolders)
function(vnvme_library name)
  cmake_parse_arguments(A "" "" "DEPS;SUBDIRS" ${ARGN})
  set(globs *.cpp)
  foreach(d ${A_SUBDIRS})
    list(APPEND globs ${d}/*.cpp)
  endforeach()
  file(GLOB sources CONFIGURE_DEPENDS ${globs})
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(NOT sources)
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE vnvme_flags ${A_DEPS})
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC vnvme_flags ${A_DEPS})
  target_precompile_headers(${name} REUSE_FROM vnvme_pch)
endfunction()

# vnvme_program(NAME DEPS lib...): main.cpp of this folder, when it is there
function(vnvme_program name)
  cmake_parse_arguments(A "" "" "DEPS" ${ARGN})
  if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/main.cpp)
    return()
  endif()
  add_executable(${name} main.cpp)
  target_link_libraries(${name} PRIVATE vnvme_flags ${A_DEPS})
  target_precompile_headers(${name} REUSE_FROM vnvme_pch)
  if(VNVME_STATIC)
    target_link_options(${name} PRIVATE -static)
  endif()
endfunction()

# vnvme_test(NAME [LABELS l...] [DEPS lib...]): one gtest program out of all
# .cpp of this folder; ctest runs it as one test, labelled.
function(vnvme_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "DEPS;LABELS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE vnvme_flags ${A_DEPS} GTest::gmock GTest::gtest_main)
  target_precompile_headers(${name} REUSE_FROM vnvme_pch)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE
    VNVME_TEST_DATA="${PROJECT_SOURCE_DIR}/tests/data" VNVME_BIN="${CMAKE_BINARY_DIR}/bin"
    VNVME_SOURCE="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}")
  vnvme_timeout(${name} ${A_TIMEOUT})
endfunction()

# vnvme_script_test(NAME SCRIPT [LABELS l...]): a Python test that drives the
# built programs; it gets the build's bin folder in VNVME_BIN.
function(vnvme_script_test name script)
  cmake_parse_arguments(A "" "TIMEOUT" "LABELS" ${ARGN})
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/${script})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  set(environment "VNVME_BIN=${CMAKE_BINARY_DIR}/bin;VNVME_SOURCE=${PROJECT_SOURCE_DIR};VNVME_BUILD=${CMAKE_BINARY_DIR}")
  if(VNVME_SANITIZE)
    list(APPEND environment VNVME_SLOW=1)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" ENVIRONMENT "${environment}")
  vnvme_timeout(${name} ${A_TIMEOUT})
endfunction()
