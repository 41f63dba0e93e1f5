//! The attribute [`wire`], which makes the four kinds of field right by construction.
//!
//! On the wire a field is required or optional, and nullable or not. `serde` and the OpenAPI schema each
//! have their own default for `Option`, and neither tells the other. Here the type says which kind it is,
//! and the attribute writes both:
//!
//! | written | on the wire |
//! |---|---|
//! | `T` | always there, never null |
//! | `Nullable<T>` | always there, may be null |
//! | `Optional<T>` | may be left out, never null |
//! | `Optional<Nullable<T>>` | may be left out, may be null |
//!
//! A plain `Option` does not compile: it would not say which kind is meant.

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::{Error, Field, Fields, GenericArgument, ItemStruct, PathArguments, Type, parse_macro_input};

/// Makes a struct an object of the wire: camelCase keys, `serde` and schema agreeing on every field.
///
/// `#[wire(strict)]` refuses keys that it does not know; otherwise they are ignored.
#[proc_macro_attribute]
pub fn wire(options: TokenStream, item: TokenStream) -> TokenStream {
    let strict = match options.to_string().as_str() {
        "" => false,
        "strict" => true,
        other => return failed(&format!("`{other}` is not an option of `wire`: only `strict` is")),
    };
    let mut object = parse_macro_input!(item as ItemStruct);
    match dress_fields(&mut object) {
        Ok(()) => dress_object(&object, strict).into(),
        Err(error) => error.to_compile_error().into(),
    }
}

fn failed(message: &str) -> TokenStream {
    quote!(compile_error!(#message);).into()
}

fn dress_object(object: &ItemStruct, strict: bool) -> Tokens {
    let refuse = strict.then(|| quote!(#[serde(deny_unknown_fields)]));
    quote! {
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize, ::utoipa::ToSchema)]
        #[serde(rename_all = "camelCase")]
        #refuse
        #object
    }
}

fn dress_fields(object: &mut ItemStruct) -> Result<(), Error> {
    let Fields::Named(fields) = &mut object.fields else {
        return Err(Error::new_spanned(object, "`wire` is for structs with named fields"));
    };
    fields.named.iter_mut().try_for_each(dress_field)
}

fn dress_field(field: &mut Field) -> Result<(), Error> {
    if argument_of(&field.ty, "Option").is_some() {
        return Err(Error::new_spanned(&field.ty, "say which kind is meant: `Nullable<T>` or `Optional<T>`"));
    }
    if let Some(inner) = argument_of(&field.ty, "Nullable") {
        field.attrs.push(syn::parse_quote!(#[serde(deserialize_with = "::serde::Deserialize::deserialize")]));
        field.attrs.push(syn::parse_quote!(#[schema(required)]));
        field.ty = syn::parse_quote!(Option<#inner>);
        return Ok(());
    }
    let Some(inner) = argument_of(&field.ty, "Optional") else { return Ok(()) };
    field.attrs.push(syn::parse_quote!(#[serde(
        default,
        deserialize_with = "crate::fields::present",
        skip_serializing_if = "Option::is_none"
    )]));
    match argument_of(&inner, "Nullable") {
        Some(innermost) => {
            field.attrs.push(syn::parse_quote!(#[schema(value_type = Option<#innermost>)]));
            field.ty = syn::parse_quote!(Option<Option<#innermost>>);
        }
        None => {
            field.attrs.push(syn::parse_quote!(#[schema(nullable = false)]));
            field.ty = syn::parse_quote!(Option<#inner>);
        }
    }
    Ok(())
}

/// The `T` of `Name<T>`.
fn argument_of(ty: &Type, name: &str) -> Option<Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Some(inner.clone()),
        _ => None,
    }
}
