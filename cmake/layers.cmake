# The dependency law (style.md): base <- {policy, wire} <- {etcd, nats} <- io <- programs.
# A layer sees only what its link list names; tests/lint/layering proves the includes.
find_package(PkgConfig REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson)
pkg_check_modules(OPENSSL REQUIRED openssl>=3)
pkg_check_modules(NFTABLES REQUIRED libnftables)

function(bulkhead_layer name dir)
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.c)
  list(FILTER sources EXCLUDE REGEX "(proxy/(main|config[a-z_]*)|injector_main)\\.c$")
  if(NOT sources)
    set(sources ${CMAKE_SOURCE_DIR}/cmake/empty.c)
  endif()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/proxy)
  target_link_libraries(${name} PUBLIC bulkhead_flags ${ARGN})
endfunction()

bulkhead_layer(base proxy/base)
bulkhead_layer(policy policy base)
bulkhead_layer(wire proxy/wire base)
bulkhead_layer(etcd proxy/etcd policy wire)
bulkhead_layer(nats_core proxy/nats policy wire)
bulkhead_layer(io proxy/io etcd nats_core PkgConfig::UV PkgConfig::NGHTTP2 PkgConfig::CJSON)
# Their headers only: they are loaded when TLS is configured (proxy/io/tls_lib.h), and when rules are
# installed (proxy/io/redirect.h).
target_include_directories(io PRIVATE ${OPENSSL_INCLUDE_DIRS} ${NFTABLES_INCLUDE_DIRS})

# The configuration belongs to the program but is pure: a library of its own, so that its tests and
# its fuzz target link no io.
file(GLOB config_sources CONFIGURE_DEPENDS proxy/config*.c)
add_library(config STATIC ${config_sources})
target_link_libraries(config PUBLIC policy PkgConfig::CJSON)

if(EXISTS ${CMAKE_SOURCE_DIR}/proxy/main.c)
  bulkhead_layer(program proxy io config)
  add_executable(bulkhead proxy/main.c)
  target_link_libraries(bulkhead PRIVATE program)
  install(TARGETS bulkhead RUNTIME DESTINATION bin)
  install(FILES ${CMAKE_SOURCE_DIR}/docs/bulkhead.1 DESTINATION share/man/man1)
endif()

# The injector: a pure library, and the program that serves it (deploy/sidecar-injector/README.md).
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
set(injector_dir ${CMAKE_SOURCE_DIR}/deploy/sidecar-injector)
bulkhead_layer(inject deploy/sidecar-injector/inject policy wire config PkgConfig::CJSON PkgConfig::YAML)
target_include_directories(inject PUBLIC ${injector_dir})
bulkhead_layer(injector deploy/sidecar-injector inject io)
if(EXISTS ${injector_dir}/injector_main.c)
  add_executable(bulkhead-injector ${injector_dir}/injector_main.c)
  target_link_libraries(bulkhead-injector PRIVATE injector)
  install(TARGETS bulkhead-injector RUNTIME DESTINATION bin)
  if(EXISTS ${CMAKE_SOURCE_DIR}/docs/bulkhead-injector.1)
    install(FILES ${CMAKE_SOURCE_DIR}/docs/bulkhead-injector.1 DESTINATION share/man/man1)
  endif()
endif()
