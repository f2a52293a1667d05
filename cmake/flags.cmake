# Compiler flags for every target of ours, in one place.
include(CheckPIESupported)
check_pie_supported()

add_library(bulkhead_flags INTERFACE)
target_compile_definitions(bulkhead_flags INTERFACE _GNU_SOURCE
                           BULKHEAD_VERSION="${PROJECT_VERSION}")
target_compile_options(bulkhead_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wcast-align
  -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wformat=2 -Wundef
  -Wnull-dereference -Wimplicit-fallthrough -Wswitch-enum -Wwrite-strings -Wdate-time
  -fvisibility=hidden -fstack-protector-strong -fno-common
  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
if(BULKHEAD_WERROR)
  target_compile_options(bulkhead_flags INTERFACE -Werror)
endif()
if(CMAKE_BUILD_TYPE MATCHES "Rel")
  target_compile_options(bulkhead_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  target_compile_options(bulkhead_flags INTERFACE -fstack-clash-protection -fcf-protection)
endif()
if(BULKHEAD_SANITIZE)
  target_compile_options(bulkhead_flags INTERFACE -fsanitize=${BULKHEAD_SANITIZE}
                         -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(bulkhead_flags INTERFACE -fsanitize=${BULKHEAD_SANITIZE})
endif()
if(BULKHEAD_COVERAGE)
  target_compile_options(bulkhead_flags INTERFACE --coverage)
  target_link_options(bulkhead_flags INTERFACE --coverage)
endif()
target_link_options(bulkhead_flags INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)
