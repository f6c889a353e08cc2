# Compiler options for every target: warnings, hardening in release, sanitizers and coverage when asked for.
add_compile_options(-Wall -Wextra -Wshadow $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes> -Wpointer-arith -Wformat=2 -Wundef
                    -Wcast-qual -Wwrite-strings -Wvla -fno-common
                    -Wno-format-truncation) # texts are cut at their bounds on purpose
if(CITYTOTALS_WERROR)
  add_compile_options(-Werror)
endif()
include_directories(${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})

if(CITYTOTALS_SANITIZE)
  add_compile_options(-fsanitize=${CITYTOTALS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${CITYTOTALS_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  add_compile_options(-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection)
  add_link_options($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie> -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(CITYTOTALS_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link) # every library tells libFuzzer where it has been
endif()
if(CITYTOTALS_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
# Assertions guard programmer errors and stay on in release.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
