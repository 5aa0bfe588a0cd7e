# The engine without its bindings: object library `engine`, static library `kernels`. Also of tests/fuzz/engine.
find_package(Threads REQUIRED)

get_filename_component(csrc ${CMAKE_CURRENT_LIST_DIR}/../csrc ABSOLUTE)
set(engine)
foreach(folder core convert gemm int24 moments tiles ranks neighbours trees)
  file(GLOB sources CONFIGURE_DEPENDS ${csrc}/${folder}/*.cpp)
  list(APPEND engine ${sources})
endforeach()

# isa_<level>.cpp: the kernels, one source compiled once per instruction set, chosen at run time.
set(isa_flags -ffp-contract=fast -fno-math-errno)
set(isa_flags_base)
set(isa_flags_avx2 -mavx2 -mfma -mf16c)
set(isa_flags_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c -mprefer-vector-width=512)
set(isa_flags_avx512bf16 ${isa_flags_avx512} -mavx512bf16)
set(isa_flags_avx512vnni ${isa_flags_avx512} -mavx512vnni)
set(isa_flags_avx512amx ${isa_flags_avx512})  # its instructions are assembly
set(levels base)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  list(APPEND levels avx2 avx512 avx512bf16 avx512vnni avx512amx)
  add_compile_definitions(PYREPSIM_X86)
endif()
set(kernels)
foreach(level IN LISTS levels)
  set(sources ${engine})
  list(FILTER sources INCLUDE REGEX "/isa_${level}\\.cpp$")
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${isa_flags};${isa_flags_${level}}")
  list(APPEND kernels ${sources})
endforeach()
# int24 has the same bits on every processor, so multiplications and additions are not fused, here and in the engine.
set(exact ${kernels})
list(FILTER exact INCLUDE REGEX "/int24/")
set_property(SOURCE ${exact} APPEND PROPERTY COMPILE_OPTIONS -ffp-contract=off)
list(FILTER engine EXCLUDE REGEX "/isa_[a-z0-9]+\\.cpp$")

# Only the bindings include pybind11 and Python; the engine compiles without them. The kernels are a static library, so
# they are linked last, lowest level first: if two objects define the same inline function, the linker keeps the first
# definition, which every processor can run.
add_library(engine OBJECT ${engine})
add_library(kernels STATIC ${kernels})
target_compile_options(engine PRIVATE -ffp-contract=off)
foreach(part engine kernels)
  target_include_directories(${part} PUBLIC ${csrc})
  target_link_libraries(${part} PUBLIC Threads::Threads)
endforeach()
